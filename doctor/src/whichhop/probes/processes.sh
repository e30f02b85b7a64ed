# shellcheck shell=sh
# Prints each process of a container: its ids, groups, program, directory and command line.
# Only a shell, grep, readlink and tr: what every image has that can run nginx or uWSGI from a script.
for place in /proc/[0-9]*; do
    echo "Process: ${place#/proc/}"
    grep -E '^(Name|PPid|Uid|Gid|Groups):' "$place/status"
    echo "Program: $(readlink "$place/exe")"
    echo "Directory: $(readlink "$place/cwd")"
    printf 'Command: '; tr '\0\n' '  ' <"$place/cmdline"; echo
done 2>/dev/null
