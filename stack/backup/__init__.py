"""All that a site keeps, into one file and back."""
