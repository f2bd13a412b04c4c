/* SPDX-License-Identifier: MIT */
#include "replay/pc_live.h"

#include "base/os.h"
#include "replay/pc_script.h"

#include <string.h>

enum { LINE_MAX = 256, SEEN_MAX = 1 << 16, INPUT_MAX = 4096 };
#define WAIT_FOREVER_NS UINT64_C(1000000000)

struct replay_pc_live {
    struct replay_pc_live_options options;
    struct replay_pc *session;
    struct emu_pc *pc; /* its machine */
    enum replay_pc_stop stop;
    uint32_t stop_line;
    uint8_t line[LINE_MAX]; /* printed and not passed on */
    size_t line_size;
    uint64_t printed;
    struct buf seen; /* since the script's last step, bounded */
    uint8_t *tail;   /* the last bytes printed, as many as `until` has */
    size_t tail_size;
    struct pc_script script;
    size_t step_next;
    bool waits;
    uint64_t wait_vns;
    uint8_t frame[V86FS_NOTE_SIZE_MAX]; /* the notification at hand */
    size_t frame_size;
    uint8_t input[INPUT_MAX];
    bool input_ended;
    uint64_t idle_real_ns, idle_vns; /* when pacing began to count */
};

/* ---- what the script looks for ---- */

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
    if (live->step_next < live->script.count) {
        if (live->seen.size == SEEN_MAX)
            forget(&live->seen, SEEN_MAX / 2);
        buf_byte(&live->seen, byte);
    }
    if (++live->printed >= live->options.output_max)
        stop(live, REPLAY_PC_OUTPUT_MAX);
    look_for_end(live, byte);
}

/* ---- what the script does ---- */

static void script_failed(struct replay_pc_live *live,
                          const struct pc_script_step *step)
{
    if (!live->stop_line)
        live->stop_line = step->line;
    stop(live, REPLAY_PC_SCRIPT_FAILED);
}

static bool expected(struct replay_pc_live *live, const struct pc_script_step *step)
{
    size_t end;
    if (!holds(buf_bytes(&live->seen), step->text, &end))
        return false;
    if (end)
        forget(&live->seen, end);
    return true;
}

static bool waited(struct replay_pc_live *live, const struct pc_script_step *step,
                   struct emu_place *next)
{
    uint64_t now = emu_cpu_vns(live->pc->cpu);
    if (!live->waits) {
        live->waits = true;
        live->wait_vns =
            now + step->number[0] < now ? EMU_NEVER - 1 : now + step->number[0];
    }
    live->waits = now < live->wait_vns;
    if (!live->waits)
        return true;
    struct emu_place place = emu_pc_place_at(live->pc, live->wait_vns);
    if (emu_place_before(place, *next))
        *next = place;
    return false;
}

/* Virtual time stands still meanwhile. */
static void run_on_host(struct replay_pc_live *live, const struct pc_script_step *step)
{
    const char *const argv[] = {"sh", "-c", (const char *)step->text.data, NULL};
    int status;
    replay_pc_live_flush(live);
    if (os_run(argv, &status) || status)
        script_failed(live, step);
}

/* "-" is the name of the export without one. */
static bool is_default(struct bytes name)
{
    return name.size == 1 && name.data[0] == '-';
}

/* The frame that the step is about; false: it cannot be made. */
static bool make_frame(struct replay_pc_live *live, const struct pc_script_step *step)
{
    const struct replay_pc_live_options *options = &live->options;
    uint64_t ino = 0;
    bool names_node =
        step->verb == PC_SCRIPT_invalidate || step->verb == PC_SCRIPT_invalidate_dir;
    if (names_node && (!options->find || !options->find(options->find_self, step->text,
                                                        emu_pc_now_ns(live->pc), &ino)))
        return false;
    if (step->verb == PC_SCRIPT_invalidate)
        live->frame_size = v86fs_invalidate_encode(
            ino, step->number[0], step->number[1], live->frame, sizeof live->frame);
    else if (step->verb == PC_SCRIPT_invalidate_dir)
        live->frame_size =
            v86fs_invalidate_dir_encode(ino, live->frame, sizeof live->frame);
    else if (step->verb == PC_SCRIPT_mount)
        live->frame_size = v86fs_mount_notify_encode(
            is_default(step->text) ? (struct bytes){0} : step->text, step->path,
            live->frame, sizeof live->frame);
    else
        live->frame_size =
            v86fs_umount_notify_encode(step->text, live->frame, sizeof live->frame);
    return live->frame_size != 0;
}

static void send_frame(void *self)
{
    struct replay_pc_live *live = self;
    enum v86fs_note_result result =
        replay_pc_notify(live->session, bytes_of(live->frame, live->frame_size));
    if (result != V86FS_NOTE_QUEUED && live->step_next)
        script_failed(live, &live->script.step[live->step_next - 1]);
}

static struct emu_input frame_input(struct replay_pc_live *live, void (*call)(void *))
{
    return (struct emu_input){.kind = EMU_INPUT_CALL, .call = call, .call_self = live};
}

/* One step.  True: go on; *ret_made: it is an input. */
static bool take_step(struct replay_pc_live *live, const struct pc_script_step *step,
                      struct emu_place *next, struct emu_input *ret_input,
                      bool *ret_made)
{
    switch (step->verb) {
    case PC_SCRIPT_expect:
        return expected(live, step);
    case PC_SCRIPT_send:
    case PC_SCRIPT_type:
        *ret_input = (struct emu_input){.kind = EMU_INPUT_CONSOLE, .data = step->text};
        return *ret_made = true;
    case PC_SCRIPT_wait:
        return waited(live, step, next);
    case PC_SCRIPT_host:
        run_on_host(live, step);
        return true;
    case PC_SCRIPT_late:
        replay_pc_delay(live->session, step->number[0]);
        return true;
    case PC_SCRIPT_invalidate:
    case PC_SCRIPT_invalidate_dir:
    case PC_SCRIPT_mount:
    case PC_SCRIPT_umount:
        break;
    }
    *ret_made = make_frame(live, step);
    *ret_input = frame_input(live, send_frame);
    if (!*ret_made)
        script_failed(live, step);
    return true;
}

/* The next input that the script makes; false while it waits or has ended. */
static bool script_acts(struct replay_pc_live *live, struct emu_place *next,
                        struct emu_input *ret_input)
{
    bool made = false;
    while (!made && !live->stop && live->step_next < live->script.count) {
        const struct pc_script_step *step = &live->script.step[live->step_next];
        if (!take_step(live, step, next, ret_input, &made))
            return false;
        live->step_next++;
    }
    return made;
}

/* ---- input and time ---- */

/* What others have to say about their files. */
static void pass_note(void *self)
{
    struct replay_pc_live *live = self;
    (void)replay_pc_notify(live->session, bytes_of(live->frame, live->frame_size));
}

static bool others_tell(struct replay_pc_live *live, struct emu_input *ret_input)
{
    const struct replay_pc_live_options *options = &live->options;
    live->frame_size = options->note ? options->note(options->note_self, live->frame,
                                                     sizeof live->frame)
                                     : 0;
    *ret_input = frame_input(live, pass_note);
    return live->frame_size != 0;
}

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
    replay_pc_live_flush(live);
    if (live->options.interrupted && live->options.interrupted())
        stop(live, REPLAY_PC_INTERRUPTED);
    if (others_tell(live, ret_input) || script_acts(live, ret_next, ret_input))
        return true;
    *ret_input = (struct emu_input){.kind = EMU_INPUT_CONSOLE};
    return descriptor_types(live, &ret_input->data);
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
    TRY(replay_pc_script_parse(arena, options->script, &live->script, ret_line));
    os_terminal_raw(options->input_fd, true);
    *ret_live = live;
    return ERR_ok;
}

struct emu_host replay_pc_live_host(struct replay_pc_live *live)
{
    return (struct emu_host){live, console_out, input_at, idle, event};
}

void replay_pc_live_attach(struct replay_pc_live *live, struct replay_pc *session)
{
    live->session = session;
    live->pc = replay_pc_machine(session);
}

uint32_t replay_pc_live_line(const struct replay_pc_live *live)
{
    return live->stop_line;
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
