#!/usr/bin/env bash
# Prints the apt source entry for the backports of one Debian release, made from the machine's own entry for that release,
# so that mirror, proxy and keyring stay the ones the machine already uses.
#
#   tools/backports-entry.sh APT_DIRECTORY CODENAME
#
# The first line of the output is the file name to use, the rest is the file's text. Both forms of apt sources are understood:
# deb822 (*.sources) and one line per entry (*.list, sources.list). Exit code 3: a backports entry is active already.
# Exit code 4: no entry of this machine names the release.
set -euo pipefail

apt_directory=$1
codename=$2
shopt -s nullglob
deb822_files=("$apt_directory"/sources.list.d/*.sources)
line_files=("$apt_directory"/sources.list "$apt_directory"/sources.list.d/*.list)

# deb822: one stanza per blank-line-separated paragraph. mode=has: is the suite there and enabled; mode=derive: print with the suite replaced.
read_deb822() {
  awk -v mode="$1" -v wanted="$2" -v replacement="$codename-backports" '
    function finish(   i, parts, n, matches, enabled, text, field, is_deb) {
      if (count == 0) return
      matches = 0; enabled = 1; is_deb = 0; field = ""
      for (i = 1; i <= count; i++) {
        if (lines[i] ~ /^[A-Za-z0-9-]+:/) field = tolower(substr(lines[i], 1, index(lines[i], ":") - 1))
        value = lines[i]; sub(/^[A-Za-z0-9-]+:/, "", value)
        n = split(value, parts, /[ \t]+/)
        for (j = 1; j <= n; j++) {
          if (field == "suites" && parts[j] == wanted) matches = 1
          if (field == "types" && parts[j] == "deb") is_deb = 1
          if (field == "enabled" && tolower(parts[j]) == "no") enabled = 0
        }
      }
      if (matches && enabled && is_deb && !found) {
        found = 1
        if (mode == "derive") {
          field = ""
          for (i = 1; i <= count; i++) {
            if (lines[i] ~ /^[A-Za-z0-9-]+:/) field = tolower(substr(lines[i], 1, index(lines[i], ":") - 1))
            if (field == "suites") { if (lines[i] ~ /^[A-Za-z]/) print "Suites: " replacement }
            else if (field == "types") { if (lines[i] ~ /^[A-Za-z]/) print "Types: deb" }
            else print lines[i]
          }
        }
      }
      count = 0
    }
    FNR == 1 { finish() }
    /^[ \t]*#/ { next }
    /^[ \t]*$/ { finish(); next }
    { lines[++count] = $0 }
    END { finish(); exit !found }
  ' "${deb822_files[@]}"
}

# One-line form: `deb [options] URI suite components…`; the options may hold the keyring and stay.
read_lines() {
  awk -v mode="$1" -v wanted="$2" -v replacement="$codename-backports" '
    $1 == "deb" {
      position = 2
      if ($2 ~ /^\[/) while (position <= NF && $(position++) !~ /\]$/);
      if ($(position + 1) == wanted && !found) {
        found = 1
        if (mode == "derive") { $(position + 1) = replacement; print }
      }
    }
    END { exit !found }
  ' "${@:3}"
}

existing_line_files=()
for file in "${line_files[@]}"; do
  [[ -r $file ]] && existing_line_files+=("$file")
done

if ((${#deb822_files[@]})) && read_deb822 has "$codename-backports" >/dev/null; then exit 3; fi
if ((${#existing_line_files[@]})) && read_lines has "$codename-backports" "${existing_line_files[@]}" >/dev/null; then exit 3; fi

if ((${#deb822_files[@]})) && entry=$(read_deb822 derive "$codename"); then
  printf 'godwit-backports.sources\n%s\n' "$entry"
elif ((${#existing_line_files[@]})) && entry=$(read_lines derive "$codename" "${existing_line_files[@]}"); then
  printf 'godwit-backports.list\n%s\n' "$entry"
else
  exit 4
fi
