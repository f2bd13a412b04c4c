/* SPDX-License-Identifier: MIT
 *
 * wc - count lines, words and bytes of files, or of stdin.
 *
 *   wc [-l] [-w] [-c] [FILE]...
 *
 * A file that cannot be read is complained about, and the others are counted; the
 * status is then 1.
 */
#include "host.h"

struct counts {
    uint64_t lines;
    uint64_t words;
    uint64_t bytes;
};

struct columns {
    bool lines;
    bool words;
    bool bytes;
};

static struct host_out out = {.fd = HOST_STDOUT};

/* Answers 0 or the error of the read that failed. */
static int64_t count(int64_t fd, struct counts *counts)
{
    static struct host_in in;
    in.fd = fd;
    in.ended = false;
    in.next = in.size = 0;
    bool in_word = false;
    while (host_fill(&in)) {
        for (; in.next < in.size; in.next++) {
            uint8_t c = in.buffer[in.next];
            bool space = c == ' ' || (c >= '\t' && c <= '\r');
            counts->lines += c == '\n';
            counts->words += in_word && space;
            in_word = !space;
        }
        counts->bytes += in.size;
    }
    counts->words += in_word;
    return in.error;
}

static void print(const struct counts *counts, const struct columns *columns,
                  const char *name)
{
    const char *between = "";
    const struct {
        bool wanted;
        uint64_t value;
    } column[3] = {{columns->lines, counts->lines},
                   {columns->words, counts->words},
                   {columns->bytes, counts->bytes}};
    for (unsigned i = 0; i < 3; i++) {
        if (!column[i].wanted)
            continue;
        host_put_text(&out, between);
        host_put_number(&out, column[i].value, 7);
        between = " ";
    }
    if (name != NULL) {
        host_put_byte(&out, ' ');
        host_put_text(&out, name);
    }
    host_put_byte(&out, '\n');
}

static bool count_file(const char *name, const struct columns *columns,
                       struct counts *total)
{
    struct counts counts = {0};
    int64_t fd = host_open(name, HOST_OPEN_READ);
    int64_t error = fd < 0 ? fd : count(fd, &counts);
    if (fd >= 0)
        host_close(fd);
    if (error < 0) {
        host_complain("wc", name, host_error_text(error));
        return false;
    }
    print(&counts, columns, name);
    total->lines += counts.lines;
    total->words += counts.words;
    total->bytes += counts.bytes;
    return true;
}

/* Take the options off the front.  What is left are files. */
static struct columns parse(struct pvm_bytes *args)
{
    struct columns columns = {0};
    for (;;) {
        struct pvm_bytes before = *args;
        const char *arg = pvm_args(args);
        if (arg == NULL || arg[0] != '-') {
            *args = before;
            break;
        }
        for (const char *c = arg + 1; *c != 0 || c == arg + 1; c++) {
            if (*c == 'l') {
                columns.lines = true;
            } else if (*c == 'w') {
                columns.words = true;
            } else if (*c == 'c') {
                columns.bytes = true;
            } else {
                host_complain("wc", arg, "unknown option; try -l, -w, -c");
                host_exit(2);
            }
        }
    }
    if (!columns.lines && !columns.words && !columns.bytes)
        columns = (struct columns){true, true, true};
    return columns;
}

uint64_t main_(void)
{
    static char buffer[4096];
    struct pvm_bytes args = host_load_args("wc", buffer, sizeof buffer);
    struct columns columns = parse(&args);
    struct counts total = {0};
    uint64_t files = 0;
    bool good = true;
    for (const char *name; (name = pvm_args(&args)) != NULL; files++)
        good &= count_file(name, &columns, &total);
    if (files == 0) {
        int64_t error = count(HOST_STDIN, &total);
        if (error < 0) {
            host_complain("wc", NULL, host_error_text(error));
            host_exit(1);
        }
        print(&total, &columns, NULL);
    } else if (files > 1) {
        print(&total, &columns, "total");
    }
    host_flush(&out);
    if (!good || out.error != 0)
        host_exit(1);
    return 0;
}

PVM_EXPORT(0, main_);
