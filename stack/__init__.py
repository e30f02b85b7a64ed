"""What the stack gives a Django site. No site imports it: stack.settings puts it on top of the site's own."""
