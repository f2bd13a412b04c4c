/* SPDX-License-Identifier: MIT */
#include "replay/pc_live.h"

#include "base/os.h"
#include "emu/pc.h"

#include <string.h>

enum { LINE_MAX = 256, SEEN_MAX = 1 << 16, INPUT_MAX = 4096, STEP_COUNT_MAX = 4096 };
#define WAIT_FOREVER_NS UINT64_C(1000000000)

struct step {
    bool types;
    struct bytes text;
};

struct replay_pc_live {
    struct replay_pc_live_options options;
    struct emu_pc *pc;
    enum replay_pc_stop stop;
    uint8_t line[LINE_MAX]; /* printed and not passed on */
    size_t line_size;
    uint64_t printed;
    struct buf seen; /* since the script's last step, bounded */
    uint8_t *tail;   /* the last bytes printed, as many as `until` has */
    size_t tail_size;
    struct step *step;
    size_t step_count, step_next;
    uint8_t input[INPUT_MAX];
    bool input_ended;
    uint64_t idle_real_ns, idle_vns; /* when pacing began to count */
};

/* ---- the script ---- */

static int hex(uint8_t c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* \n, \r, \t, \\ and \xNN, in place; false for anything else behind a backslash. */
static bool unescape(uint8_t *text, size_t *size)
{
    size_t out = 0;
    for (size_t i = 0; i < *size; i++) {
        if (text[i] != '\\') {
            text[out++] = text[i];
            continue;
        }
        if (++i == *size)
            return false;
        if (text[i] == 'x' && i + 2 < *size && hex(text[i + 1]) >= 0 &&
            hex(text[i + 2]) >= 0) {
            text[out++] = (uint8_t)(hex(text[i + 1]) << 4 | hex(text[i + 2]));
            i += 2;
            continue;
        }
        static const char from[] = "nrt\\", to[] = "\n\r\t\\";
        const char *found = memchr(from, text[i], 4);
        if (!found)
            return false;
        text[out++] = (uint8_t)to[found - from];
    }
    *size = out;
    return true;
}

static bool starts_with(struct bytes line, const char *word)
{
    size_t size = strlen(word);
    return line.size >= size && memcmp(line.data, word, size) == 0;
}

/* One line: "expect TEXT", "send TEXT" (and a return key), "type TEXT", "# …". */
static enum err parse_line(struct replay_pc_live *live, struct arena *arena,
                           struct bytes line)
{
    bool send = starts_with(line, "send "), type = starts_with(line, "type ");
    bool expect = starts_with(line, "expect ");
    if (!line.size || line.data[0] == '#')
        return ERR_ok;
    if (live->step_count == STEP_COUNT_MAX || !(send || type || expect))
        return ERR_usage;
    size_t skip = expect ? 7 : 5, size = line.size - skip;
    uint8_t *text = arena_alloc(arena, size + 1, 1);
    if (!text)
        return ERR_nomem;
    memcpy(text, line.data + skip, size);
    if (!unescape(text, &size))
        return ERR_usage;
    if (send)
        text[size++] = '\r';
    live->step[live->step_count++] =
        (struct step){.types = !expect, .text = bytes_of(text, size)};
    return ERR_ok;
}

static enum err parse_script(struct replay_pc_live *live, struct arena *arena,
                             uint32_t *ret_line)
{
    struct bytes left = live->options.script;
    live->step = arena_new_array(arena, struct step, STEP_COUNT_MAX);
    if (!live->step)
        return ERR_nomem;
    for (*ret_line = 1; left.size; (*ret_line)++) {
        const uint8_t *end = memchr(left.data, '\n', left.size);
        size_t size = end ? (size_t)(end - left.data) : left.size;
        TRY(parse_line(live, arena, bytes_of(left.data, size)));
        size += end != NULL;
        left = bytes_of(left.data + size, left.size - size);
    }
    return ERR_ok;
}

static bool holds(struct bytes text, struct bytes needle, size_t *ret_end)
{
    if (!needle.size) {
        *ret_end = 0;
        return true;
    }
    for (size_t i = 0; i + needle.size <= text.size; i++) {
        if (memcmp(text.data + i, needle.data, needle.size) == 0) {
            *ret_end = i + needle.size;
            return true;
        }
    }
    return false;
}

/* Forget the first bytes of what was seen. */
static void forget(struct buf *seen, size_t size)
{
    memmove(seen->data, seen->data + size, seen->size - size);
    seen->size -= size;
}

/* What the script types now; false while it waits or has ended. */
static bool script_types(struct replay_pc_live *live, struct bytes *ret)
{
    while (live->step_next < live->step_count) {
        const struct step *step = &live->step[live->step_next];
        size_t end = 0;
        if (!step->types && !holds(buf_bytes(&live->seen), step->text, &end))
            return false;
        live->step_next++;
        if (step->types) {
            *ret = step->text;
            return true;
        }
        if (end)
            forget(&live->seen, end);
    }
    return false;
}

/* ---- output ---- */

static void stop(struct replay_pc_live *live, enum replay_pc_stop why)
{
    if (live->stop == REPLAY_PC_NOT_STOPPED)
        live->stop = why;
    if (live->pc)
        emu_pc_stop(live->pc);
}

void replay_pc_live_flush(struct replay_pc_live *live)
{
    if (live->line_size && !live->options.out(live->options.out_self,
                                              bytes_of(live->line, live->line_size)))
        stop(live, REPLAY_PC_OUT_FAILED);
    live->line_size = 0;
}

static void look_for_end(struct replay_pc_live *live, uint8_t byte)
{
    struct bytes until = live->options.until;
    if (!until.size)
        return;
    if (live->tail_size == until.size)
        memmove(live->tail, live->tail + 1, --live->tail_size);
    live->tail[live->tail_size++] = byte;
    if (live->tail_size == until.size &&
        memcmp(live->tail, until.data, until.size) == 0)
        stop(live, REPLAY_PC_UNTIL);
}

static void console_out(void *self, uint32_t dev, uint8_t byte)
{
    struct replay_pc_live *live = self;
    (void)dev;
    live->line[live->line_size++] = byte;
    if (byte == '\n' || live->line_size == LINE_MAX)
        replay_pc_live_flush(live);
    if (live->step_next < live->step_count) {
        if (live->seen.size == SEEN_MAX)
            forget(&live->seen, SEEN_MAX / 2);
        buf_byte(&live->seen, byte);
    }
    if (++live->printed >= live->options.output_max)
        stop(live, REPLAY_PC_OUTPUT_MAX);
    look_for_end(live, byte);
}

/* ---- input and time ---- */

static bool descriptor_types(struct replay_pc_live *live, struct bytes *ret)
{
    size_t size;
    if (live->options.input_fd < 0 || live->input_ended ||
        !os_wait_readable(live->options.input_fd, 0))
        return false;
    if (os_read(live->options.input_fd, live->input, sizeof live->input, &size) ||
        !size) {
        live->input_ended = true;
        return false;
    }
    *ret = bytes_of(live->input, size);
    return true;
}

static bool input_at(void *self, struct emu_place here, struct emu_place *ret_next,
                     struct emu_input *ret_input)
{
    struct replay_pc_live *live = self;
    (void)here;
    (void)ret_next;
    replay_pc_live_flush(live);
    if (live->options.interrupted && live->options.interrupted())
        stop(live, REPLAY_PC_INTERRUPTED);
    *ret_input = (struct emu_input){.kind = EMU_INPUT_CONSOLE};
    return script_types(live, &ret_input->data) ||
           descriptor_types(live, &ret_input->data);
}

/* Real nanoseconds that are still to pass until the deadline. */
static uint64_t wait_ns(struct replay_pc_live *live, uint64_t now, uint64_t deadline)
{
    uint64_t real = os_clock_monotonic_ns();
    uint64_t ahead = now - live->idle_vns, passed = real - live->idle_real_ns;
    if (!live->idle_real_ns || passed > ahead + WAIT_FOREVER_NS) {
        /* The first sleep, or the guest was too busy to keep up: count from here. */
        live->idle_real_ns = real;
        live->idle_vns = now;
        ahead = passed = 0;
    }
    uint64_t due = deadline - now + ahead;
    return due > passed ? due - passed : 0;
}

static bool idle(void *self, uint64_t now, uint64_t deadline, uint64_t *ret_vns)
{
    struct replay_pc_live *live = self;
    int fd = live->input_ended ? -1 : live->options.input_fd;
    *ret_vns = deadline;
    if (deadline == EMU_NEVER) {
        if (fd < 0)
            return false;
        (void)os_wait_readable(fd, WAIT_FOREVER_NS);
        *ret_vns = now;
        return true;
    }
    if (!live->options.pace)
        return true;
    uint64_t wait = wait_ns(live, now, deadline), before = os_clock_monotonic_ns();
    if (fd < 0) {
        os_sleep_ns(wait);
    } else if (wait && os_wait_readable(fd, wait)) {
        uint64_t slept = os_clock_monotonic_ns() - before;
        *ret_vns = slept < deadline - now ? now + slept : deadline;
    }
    return true;
}

static void event(void *self, const struct emu_event *event)
{
    (void)self;
    (void)event;
}

/* ---- creation ---- */

enum err replay_pc_live_create(struct arena *arena,
                               const struct replay_pc_live_options *options,
                               struct replay_pc_live **ret_live, uint32_t *ret_line)
{
    struct replay_pc_live *live = arena_new(arena, struct replay_pc_live);
    *ret_line = 0;
    if (!live)
        return ERR_nomem;
    live->options = *options;
    live->tail = arena_alloc(arena, options->until.size + 1, 1);
    if (!live->tail)
        return ERR_nomem;
    buf_init(&live->seen, SEEN_MAX);
    TRY(parse_script(live, arena, ret_line));
    os_terminal_raw(options->input_fd, true);
    *ret_live = live;
    return ERR_ok;
}

struct emu_host replay_pc_live_host(struct replay_pc_live *live)
{
    return (struct emu_host){live, console_out, input_at, idle, event};
}

void replay_pc_live_attach(struct replay_pc_live *live, struct emu_pc *pc)
{
    live->pc = pc;
}

enum replay_pc_stop replay_pc_live_stop(const struct replay_pc_live *live)
{
    return live->stop;
}

void replay_pc_live_close(struct replay_pc_live *live)
{
    if (!live)
        return;
    os_terminal_raw(live->options.input_fd, false);
    buf_fini(&live->seen);
}
