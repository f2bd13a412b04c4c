#!/bin/sh
# SPDX-License-Identifier: MIT
#
# build.sh OUTPUT COMPILER FLAGS...: a 32-bit program; an empty file where the compiler
# cannot make one, which the test reports as skipped.
output=$1
shift
if ! "$@" -o "$output" 2>"$output.log"; then
    echo "oracle32: skipped: no 32-bit compiler (see $output.log)"
    : >"$output"
fi
