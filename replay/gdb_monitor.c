/* SPDX-License-Identifier: MIT
 *
 * monitor commands (trace-replay.md 9.5).  A command that would move the guest says
 * "use: seek N" instead: after `monitor` gdb keeps its old registers, after `seek`,
 * which is a run to it, it asks for all of them.
 */
#include "replay/gdb_private.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORD_COUNT_MAX = 4, EVENT_COUNT_MAX = 1000 };

struct command {
    struct replay_gdb *gdb;
    char *word[WORD_COUNT_MAX]; /* behind the command's name; NULL: none */
    struct buf *text;
};

static bool number(const char *text, uint64_t *ret_value)
{
    char *end;
    if (!text || *text < '0' || *text > '9')
        return false;
    *ret_value = strtoull(text, &end, 0);
    return !*end;
}

/* A code address, or an offset in the code. */
static bool code_address(const struct command *c, const char *text, uint64_t *ret_pc)
{
    uint64_t base = c->gdb->guest->ops->code_base;
    if (!number(text, ret_pc))
        return false;
    *ret_pc += *ret_pc < base ? base : 0;
    return true;
}

static void fail(struct command *c, enum err err)
{
    buf_printf(c->text, "cannot: %s\n", err_text(err));
}

static void put_use(struct command *c, uint64_t icount)
{
    buf_printf(c->text, "use: seek %" PRIu64 "\n", icount);
}

/* ---- where ---- */

static void do_when(struct command *c)
{
    struct replay_gdb *gdb = c->gdb;
    struct replay_time now = replay_timeline_now(gdb->timeline);
    struct replay_time end = replay_timeline_end(gdb->timeline);
    struct trace_record next;
    buf_printf(c->text, "icount %" PRIu64 " sub %" PRIu64 " gas %" PRIu64, now.icount,
               now.sub, gdb->guest->ops->gas(gdb->guest->self));
    if (!replay_query_event(gdb->query, now.icount, true, &next))
        buf_printf(c->text, " event %" PRIu64 " chunk at %" PRIu64, next.seq,
                   trace_reader_chunk(gdb->query->reader).offset);
    const struct replay_stack_ops *stack = &gdb->guest->ops->stack;
    buf_printf(c->text, " frame %" PRIu32 " (%" PRIu64 "%% of %" PRIu64 ")\n",
               stack->depth ? stack->depth(gdb->guest->self) : 0,
               end.icount ? (uint64_t)((double)now.icount * 100 / (double)end.icount)
                          : 100,
               end.icount);
}

static void do_seek(struct command *c)
{
    buf_printf(c->text, "use: seek %s\n", c->word[0] ? c->word[0] : "POSITION");
}

/* For the macro `seek`: says what is wrong with a position, or nothing. */
static void do_check(struct command *c)
{
    struct replay_time to;
    uint64_t gas;
    const char *text = c->word[0] ? c->word[0] : "";
    enum err err = replay_query_position(c->gdb->query, text, &to, &gas);
    if (err == ERR_usage || err == ERR_not_found)
        buf_printf(c->text, "'%.60s' is no position here\n", text);
    else if (err)
        fail(c, err);
}

static void do_frames(struct command *c)
{
    const struct replay_guest *guest = c->gdb->guest;
    if (guest->ops->stack.put_frames)
        guest->ops->stack.put_frames(guest->self, c->text);
    else
        buf_text(c->text, "0: program 0\n");
}

/* " in name+0x12"; without symbols, the address where it begins and how far. */
static void put_name(struct command *c, const struct replay_frame *frame,
                     bool is_caller)
{
    const struct replay_gdb_options *options = &c->gdb->options;
    struct buf name;
    buf_init(&name, 2048);
    if (options->name && options->name(options->self, frame->pc, is_caller, &name))
        buf_printf(c->text, " in %s", buf_string(&name));
    else if (frame->entry && frame->entry <= frame->pc)
        buf_printf(c->text, " in 0x%" PRIx64 "+0x%" PRIx64, frame->entry,
                   frame->pc - frame->entry);
    buf_fini(&name);
}

/* What gdb cannot follow: return addresses that are indices of a table. */
static void do_backtrace(struct command *c)
{
    enum { FRAME_MAX = 256 };
    struct replay_frame frame[FRAME_MAX];
    const struct replay_guest *guest = c->gdb->guest;
    if (!guest->ops->frames) {
        buf_text(c->text, "gdb itself knows: backtrace\n");
        return;
    }
    size_t count = guest->ops->frames(guest->self, frame, FRAME_MAX);
    for (size_t i = 0; i < count; i++) {
        if (i && frame[i].depth != frame[i - 1].depth)
            buf_text(c->text, "    -- called from another instance\n");
        buf_printf(c->text, "#%zu 0x%" PRIx64 " sp 0x%" PRIx64, i, frame[i].pc,
                   frame[i].sp);
        put_name(c, &frame[i], i != 0);
        buf_byte(c->text, '\n');
    }
}

static void do_instance(struct command *c)
{
    const struct replay_guest *guest = c->gdb->guest;
    if (guest->ops->stack.put_instance)
        guest->ops->stack.put_instance(guest->self, c->text);
    else
        buf_text(c->text, "this guest has no instances\n");
}

/* in INSTANCE: breakpoints and watchpoints are for this one only. */
static void do_in(struct command *c)
{
    const struct replay_guest *guest = c->gdb->guest;
    const char *which = c->word[0] ? c->word[0] : "";
    if (!guest->ops->stack.restrict_stops)
        buf_text(c->text, "this guest has no instances\n");
    else if (guest->ops->stack.restrict_stops(guest->self, which))
        buf_printf(c->text, "stops are for %s\n",
                   strcmp(which, "any") == 0 ? "any instance" : which);
    else
        buf_text(c->text,
                 "in program:N | depth:N | HASH | any: where stops are heeded; "
                 "HASH is at least 4 digits of an instance, type or image\n");
}

static void do_modules(struct command *c)
{
    enum err err = replay_gdb_put_modules(c->gdb, c->word[0], c->text);
    if (err)
        fail(c, err);
}

static void do_kallsyms(struct command *c)
{
    enum err err = replay_gdb_put_symbols(c->gdb, c->word[0], c->text);
    if (err)
        fail(c, err);
}

static void do_hash(struct command *c)
{
    uint8_t hash[32];
    enum err err = c->gdb->guest->ops->hash(c->gdb->guest->self, hash);
    if (err) {
        fail(c, err);
        return;
    }
    replay_gdb_put_hex(c->text, hash, sizeof hash);
    buf_byte(c->text, '\n');
}

static void do_stats(struct command *c)
{
    struct replay_timeline_stats s = replay_timeline_stats(c->gdb->timeline);
    buf_printf(c->text,
               "snapshots %" PRIu64 " (%" PRIu64 " KiB, %" PRIu64
               " dropped), instructions executed %" PRIu64 ", seeks %" PRIu64
               ", loads %" PRIu64 ", stretches skipped %" PRIu64
               ", checkpoints of the trace %" PRIu64 "\n",
               s.snapshot_count, s.snapshot_memory / 1024, s.dropped_count,
               s.instruction_count, s.seek_count, s.load_count, s.skipped_count,
               s.stored_count);
}

/* ---- stops of our own ---- */

static void list_icounts(struct command *c)
{
    for (size_t i = 0; i < c->gdb->icount_count; i++)
        buf_printf(c->text, "ibreak %" PRIu64 "\n", c->gdb->icount[i]);
    if (!c->gdb->icount_count)
        buf_text(c->text, "no ibreak\n");
}

static void do_ibreak(struct command *c)
{
    struct replay_gdb *gdb = c->gdb;
    uint64_t icount;
    if (!c->word[0]) {
        list_icounts(c);
    } else if (strcmp(c->word[0], "none") == 0) {
        gdb->icount_count = 0;
    } else if (!number(c->word[0], &icount)) {
        buf_text(c->text, "ibreak N: stop at instruction N; ibreak none\n");
    } else if (gdb->icount_count == GDB_ICOUNT_MAX) {
        fail(c, ERR_limit);
    } else {
        gdb->icount[gdb->icount_count++] = icount;
        buf_printf(c->text, "ibreak %" PRIu64 "\n", icount);
    }
}

static bool is_kind(const char *pattern)
{
    size_t size = strcspn(pattern, ":");
    for (size_t i = 0; trace_kind_at(i); i++) {
        const char *wire = trace_kind_at(i)->wire, *dot = strrchr(wire, '.');
        if ((strlen(wire) == size && memcmp(wire, pattern, size) == 0) ||
            (dot && strlen(dot + 1) == size && memcmp(dot + 1, pattern, size) == 0))
            return true;
    }
    return false;
}

static void do_ebreak(struct command *c)
{
    char *pattern = c->gdb->pattern;
    if (!c->word[0]) {
        buf_printf(c->text, "ebreak %s\n", pattern[0] ? pattern : "none");
    } else if (strcmp(c->word[0], "none") == 0) {
        pattern[0] = 0;
    } else if (!is_kind(c->word[0]) || strlen(c->word[0]) >= GDB_PATTERN_SIZE) {
        buf_text(c->text, "ebreak KIND[:op]: stop at such events, such as ecall or "
                          "console.out; ebreak none\n");
    } else {
        (void)snprintf(pattern, GDB_PATTERN_SIZE, "%s", c->word[0]);
        buf_printf(c->text, "ebreak %s\n", pattern);
    }
}

static void do_fence(struct command *c)
{
    uint64_t icount;
    if (c->word[0] && strcmp(c->word[0], "none") == 0) {
        c->gdb->fence = (struct replay_time){0};
    } else if (c->word[0] && number(c->word[0], &icount)) {
        c->gdb->fence = (struct replay_time){.icount = icount};
    } else if (c->word[0]) {
        buf_text(c->text, "fence N: going backwards stops there; fence none\n");
        return;
    }
    buf_printf(c->text, "fence %" PRIu64 "\n", c->gdb->fence.icount);
}

/* ---- events ---- */

static bool put_event(void *self, const struct trace_record *record)
{
    struct buf *text = self;
    replay_query_put_event(record, text);
    buf_byte(text, '\n');
    return !text->err;
}

/* events [-N] [+N] [KIND]: around here. */
static void do_events(struct command *c)
{
    uint64_t behind = 5, ahead = 5, seq;
    const char *kind = NULL;
    struct trace_record next;
    for (size_t i = 0; i < WORD_COUNT_MAX && c->word[i]; i++) {
        char *word = c->word[i];
        if ((word[0] == '-' && number(word + 1, &behind)) ||
            (word[0] == '+' && number(word + 1, &ahead)))
            continue;
        kind = word;
    }
    struct replay_time now = replay_timeline_now(c->gdb->timeline);
    enum err err = replay_query_event(c->gdb->query, now.icount, true, &next);
    seq = err ? c->gdb->query->debug->last_seq + 1 : next.seq;
    behind = behind < seq ? behind : seq;
    ahead = ahead < EVENT_COUNT_MAX ? ahead : EVENT_COUNT_MAX;
    behind = behind < EVENT_COUNT_MAX ? behind : EVENT_COUNT_MAX;
    err = replay_query_events(c->gdb->query, seq - behind, behind + ahead, kind,
                              put_event, c->text);
    if (err)
        fail(c, err);
}

/* ---- questions that execute ---- */

static void put_answer(struct command *c, const struct replay_answer *answer,
                       const char *none)
{
    if (!answer->found) {
        buf_printf(c->text, "%s\n", none);
        return;
    }
    buf_printf(c->text, "icount %" PRIu64 " gas %" PRIu64 " pc 0x%" PRIx64 " %s",
               answer->time.icount, answer->gas, answer->pc, answer->insn);
    if (answer->size) {
        buf_text(c->text, "  ");
        replay_gdb_put_hex(c->text, answer->before, answer->size);
        buf_text(c->text, " -> ");
        replay_gdb_put_hex(c->text, answer->after, answer->size);
    }
    buf_byte(c->text, '\n');
    put_use(c, answer->time.icount);
}

/* ADDR[,LEN] */
static bool read_range(const char *word, uint64_t *ret_address, uint64_t *ret_size)
{
    char *end;
    if (!word || *word < '0' || *word > '9')
        return false;
    *ret_address = strtoull(word, &end, 0);
    *ret_size = 1;
    if (*end == ',' && !number(end + 1, ret_size))
        return false;
    return (!*end || *end == ',') && *ret_size;
}

static void ask_range(struct command *c, bool write)
{
    uint64_t address, size;
    struct replay_answer answer;
    if (!read_range(c->word[0], &address, &size)) {
        buf_printf(c->text, "%s ADDR[,LEN]\n", write ? "last-write" : "next-read");
        return;
    }
    c->gdb->stops_stale = true;
    enum err err = (write ? replay_query_last_write : replay_query_next_read)(
        c->gdb->query, address, size, &answer);
    if (err)
        fail(c, err);
    else
        put_answer(c, &answer,
                   write ? "not written before here" : "not read from here");
}

static void do_last_write(struct command *c)
{
    ask_range(c, true);
}

static void do_next_read(struct command *c)
{
    ask_range(c, false);
}

static void do_who(struct command *c)
{
    uint64_t pc;
    c->gdb->stops_stale = true;
    if (!code_address(c, c->word[0], &pc)) {
        buf_text(c->text, "who PC: when was it executed last, and when next\n");
        return;
    }
    for (unsigned backward = 2; backward-- > 0;) {
        struct replay_answer answer;
        enum err err = replay_query_who(c->gdb->query, pc, backward, &answer);
        buf_text(c->text, backward ? "last: " : "next: ");
        if (err)
            fail(c, err);
        else
            put_answer(c, &answer, "never");
    }
}

/* ---- names ---- */

static void do_checkpoint(struct command *c)
{
    struct replay_gdb *gdb = c->gdb;
    char name[24];
    (void)snprintf(name, sizeof name, "c%zu", gdb->query->name_count + 1);
    const char *chosen = c->word[0] ? c->word[0] : name;
    enum err err = replay_query_name(gdb->query, chosen);
    if (!err)
        err = replay_timeline_keep(gdb->timeline);
    if (err)
        fail(c, err);
    else
        buf_printf(c->text, "checkpoint %s at icount %" PRIu64 "; use: seek #%s\n",
                   chosen, replay_timeline_now(gdb->timeline).icount, chosen);
}

static void do_restart(struct command *c)
{
    buf_printf(c->text, "use: seek #%s\n", c->word[0] ? c->word[0] : "NAME");
}

static void do_bookmark(struct command *c)
{
    struct replay_gdb *gdb = c->gdb;
    const char *name = c->word[0] ? c->word[0] : "";
    enum err err = replay_query_name(gdb->query, name);
    struct trace_record next;
    if (err) {
        fail(c, err);
        return;
    }
    struct replay_time now = replay_timeline_now(gdb->timeline);
    struct trace_bookmark bookmark = {
        .icount = now.icount, .sub = now.sub, .name = name};
    if (!replay_query_event(gdb->query, now.icount, true, &next))
        bookmark.seq = next.seq;
    if (gdb->options.save_bookmark)
        err = gdb->options.save_bookmark(gdb->options.self, &bookmark);
    buf_printf(c->text, "bookmark %s at icount %" PRIu64 "%s\n", name, now.icount,
               !gdb->options.save_bookmark ? ""
               : err                       ? ", which could not be saved in the trace"
                                           : ", saved in the trace");
}

static void do_bookmarks(struct command *c)
{
    const struct replay_query *query = c->gdb->query;
    for (size_t i = 0; i < query->name_count; i++)
        buf_printf(c->text, "#%s icount %" PRIu64 "\n", query->name[i].name,
                   query->name[i].time.icount);
    if (!query->name_count)
        buf_text(c->text, "no names yet\n");
}

static void do_info(struct command *c)
{
    do_bookmarks(c);
}

static void do_back(struct command *c)
{
    struct replay_gdb *gdb = c->gdb;
    if (!gdb->visit_at)
        buf_text(c->text, "nothing visited before\n");
    else
        put_use(c, gdb->visit[gdb->visit_at - 1].icount);
}

static void do_visited(struct command *c)
{
    for (size_t i = 0; i < c->gdb->visit_count; i++)
        buf_printf(c->text, "%" PRIu64 "\n", c->gdb->visit[i].icount);
}

/* ---- code ---- */

/* disas [PC] [native] */
static void do_disas(struct command *c)
{
    struct replay_gdb *gdb = c->gdb;
    uint8_t bytes[16] = {0};
    uint64_t pc = 0;
    bool native = false;
    gdb->guest->ops->register_get(gdb->guest->self, gdb->guest->ops->pc_reg, bytes);
    for (unsigned i = 8; i-- > 0;)
        pc = pc << 8 | bytes[i];
    for (size_t i = 0; i < WORD_COUNT_MAX && c->word[i]; i++)
        native |=
            !code_address(c, c->word[i], &pc) && strcmp(c->word[i], "native") == 0;
    if (native) {
        if (!gdb->options.native ||
            !gdb->options.native(gdb->options.self, pc, c->text))
            buf_text(c->text, "there is no native code for it\n");
        return;
    }
    for (unsigned i = 0; i < 12; i++) {
        buf_printf(c->text, "0x%" PRIx64 ": ", pc);
        unsigned size = gdb->guest->ops->disassemble(gdb->guest->self, pc, c->text);
        buf_text(c->text, size ? "\n" : "no instruction\n");
        if (!size)
            return;
        pc += size;
    }
}

static void do_diff(struct command *c)
{
    struct replay_gdb *gdb = c->gdb;
    if (!c->word[0] || !gdb->options.diff) {
        buf_text(c->text, gdb->options.diff ? "diff FILE\n" : "not available here\n");
        return;
    }
    enum err err = gdb->options.diff(gdb->options.self, c->word[0], c->text);
    if (err)
        fail(c, err);
}

static void do_branch(struct command *c)
{
    struct replay_gdb *gdb = c->gdb;
    if (!c->word[0] || !gdb->options.branch) {
        buf_text(c->text,
                 gdb->options.branch ? "branch FILE\n" : "not available here\n");
        return;
    }
    uint64_t icount = replay_timeline_now(gdb->timeline).icount;
    enum err err = gdb->options.branch(gdb->options.self, icount, c->word[0], c->text);
    if (err)
        fail(c, err);
}

/* ---- the table ---- */

static void do_help(struct command *c);

static const struct row {
    const char *name;
    void (*run)(struct command *c);
    const char *text;
} row[] = {
    {"when", do_when, "where are we: icount, gas, event"},
    {"seek", do_seek, "POSITION: how to go there"},
    {"check", do_check, "POSITION: is it one?"},
    {"events", do_events, "[-N] [+N] [KIND]: events around here"},
    {"ibreak", do_ibreak, "N | none: stop at instruction N"},
    {"ebreak", do_ebreak, "KIND[:op] | none: stop at events"},
    {"fence", do_fence, "N | none: going backwards stops there"},
    {"last-write", do_last_write, "ADDR[,LEN]: who wrote it before here"},
    {"next-read", do_next_read, "ADDR[,LEN]: who reads it from here on"},
    {"who", do_who, "PC: when was it executed last, when next"},
    {"checkpoint", do_checkpoint, "[NAME]: keep the state here"},
    {"restart", do_restart, "NAME: how to go there"},
    {"bookmark", do_bookmark, "NAME: give this place a name"},
    {"bookmarks", do_bookmarks, "all names"},
    {"info", do_info, "checkpoints: all names"},
    {"back", do_back, "how to go where we were before the last seek"},
    {"visited", do_visited, "positions left by a seek"},
    {"hash", do_hash, "digest of the whole machine"},
    {"frames", do_frames, "call stack of programs"},
    {"backtrace", do_backtrace, "functions of a PVM program and their callers"},
    {"instance", do_instance, "the instance that runs: hashes, slots"},
    {"in", do_in, "program:N | depth:N | HASH | any: where stops are heeded"},
    {"kallsyms", do_kallsyms, "[NAME | load]: the symbols of a Linux guest's kernel"},
    {"modules", do_modules, "[NAME | load]: of a Linux guest, and where they are"},
    {"diff", do_diff, "FILE: the first event that differs there"},
    {"branch", do_branch, "FILE: go live from here, and record that"},
    {"disas", do_disas, "[PC] [native]: instructions, or the host's code"},
    {"stats", do_stats, "what the debugger has done so far"},
    {"help", do_help, "this list"},
};

static void do_help(struct command *c)
{
    for (size_t i = 0; i < countof(row); i++)
        buf_printf(c->text, "%-11s %s\n", row[i].name, row[i].text);
}

/* Cut the next word off; NULL: none is left. */
static char *next_word(char **text)
{
    char *word = *text + strspn(*text, " \t");
    char *end = word + strcspn(word, " \t");
    *text = *end ? end + 1 : end;
    if (word == end)
        return NULL;
    *end = 0;
    return word;
}

void replay_gdb_monitor(struct replay_gdb *gdb, const char *command, struct buf *text)
{
    char line[512];
    struct command c = {.gdb = gdb, .text = text};
    if (strlen(command) >= sizeof line) {
        buf_text(text, "too long\n");
        return;
    }
    memcpy(line, command, strlen(command) + 1);
    char *rest = line, *name = next_word(&rest);
    for (size_t i = 0; i < WORD_COUNT_MAX; i++)
        c.word[i] = next_word(&rest);
    for (size_t i = 0; name && i < countof(row); i++) {
        if (strcmp(row[i].name, name) == 0) {
            row[i].run(&c);
            return;
        }
    }
    buf_text(text, "no such command; monitor help lists them\n");
}
