# SPDX-License-Identifier: MIT
#
# doc_lib.sh: sessions that a page shows, for scripts that source this.

# section PAGE TITLE: its lines, up to the next heading of this level.
section()
{
    awk -v title="## $2" '/^## / { inside = $0 == title } inside { print }' "$1"
}

# block LANGUAGE: the lines of all such blocks on stdin.
block() { sed -n "/^\`\`\`$1\$/,/^\`\`\`\$/p" | grep -v '^```'; }

# missing WANTED SHOWN: the first line of one file that is in no line of the other, or
# not behind the line before it.  Nothing if all are there.  " … " is any text.
missing()
{
    awk 'function shows(line, wanted,    part, count, i, at) {
            count = split(wanted, part, / … /)
            for (i = 1; i <= count; i++) {
                at = index(line, part[i])
                if (!at) return 0
                line = substr(line, at + length(part[i]))
            }
            return 1
        }
        NR == FNR { if ($0 != "") want[++n] = $0; next }
        at < n && shows($0, want[at + 1]) { at++ }
        END { if (at < n) print want[at + 1] }' "$1" "$2"
}
