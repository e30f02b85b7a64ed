#!/usr/bin/env bash
# copier update: a text file changed on both sides is a conflict, a binary one is silently the template's.
#
# Version: copier 9.19.1
# Good guess: what changed in the project and in the template is a conflict, or the project's file stays.
# Seen: text.txt gets conflict markers and is "UU" in git. logo.png, which the project had changed, is the template's
# new one, shown as an ordinary change, and the exit status is 0. The project's is in git's history only.
set -o errexit -o nounset -o pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
changed() { echo "changed: $1" >&2 && exit 1; }
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet copier==9.19.1
cd "$work"

export GIT_CONFIG_GLOBAL=$work/gitconfig GIT_CONFIG_NOSYSTEM=1
git config --file gitconfig user.name tester
git config --file gitconfig user.email tester@example.org
git config --file gitconfig init.defaultBranch main
commit() {
    printf 'binary\0%s' "$1" >logo.png
    echo "text $1" >text.txt
    git add .
    git commit --quiet --message "$1"
}
mkdir template
cd template
git init --quiet
printf '{{ _copier_answers|to_nice_yaml }}' >'{{_copier_conf.answers_file}}.jinja'
commit 1
git tag v1
cd ..
venv/bin/copier copy --quiet "$work/template" project
cd project
git init --quiet
commit 1
commit project
cd ../template
commit 2
git tag v2
cd ../project
../venv/bin/copier update --quiet --defaults >../log 2>&1 || changed "copier update fails: $(tail -n 1 ../log)"
grep --quiet '^<<<<<<<' text.txt || changed "the text file has no conflict markers."
git status --short >../status
grep --quiet '^UU text.txt' ../status || changed "git shows no conflict in the text file."
content=$(tr -d '\0' <logo.png)
[ "$content" = binary2 ] || changed "the binary file is '$content', not the template's."
! grep --quiet '^UU logo.png' ../status || changed "git shows a conflict in the binary file."
echo "as seen: the project's binary file is gone."
