/* SPDX-License-Identifier: MIT */
#include "base/err.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[ERR_COUNT] = {
    [ERR_ok] = "ok",
#define ERR(name, text) [ERR_##name] = #name,
#include "base/err.def"
};

static const char *const texts[ERR_COUNT] = {
    [ERR_ok] = "success",
#define ERR(name, text) [ERR_##name] = text,
#include "base/err.def"
};

const char *err_name(enum err err)
{
    return (unsigned)err < ERR_COUNT ? names[err] : "?";
}

const char *err_text(enum err err)
{
    return (unsigned)err < ERR_COUNT ? texts[err] : "unknown error";
}

enum err err_from_name(const char *name)
{
    for (unsigned i = 0; i < ERR_COUNT; i++) {
        if (strcmp(names[i], name) == 0)
            return (enum err)i;
    }
    return ERR_COUNT;
}

void err_check_failed(const char *expr, const char *file, int line)
{
    fprintf(stderr, "lockstep: bug at %s:%d: check(%s) failed\n", file, line, expr);
    abort();
}
