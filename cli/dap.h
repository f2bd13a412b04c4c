/* SPDX-License-Identifier: MIT
 *
 * cli/dap.h - the Debug Adapter Protocol over a replayed guest: what the files of
 * `lockstep dap` share.
 *
 *   dap_wire.c     framing: Content-Length, JSON, hostile clients
 *   dap_listing.c  the program as text: lines and addresses
 *   dap_lines.c    the line table of debug information
 *   dap_stops.c    breakpoints
 *   dap_run.c      going forwards and backwards
 *   dap_step.c     the same by lines of the source
 *   dap_names.c    symbols: which function is where
 *   dap_look.c     frames, registers, memory
 *   dap_code.c     disassembly
 *   dap.c          the session and the table of requests
 *
 * The protocol is Microsoft's, version 1.64; the requests are those of the table in
 * dap.c.  A recording is read-only: what would change the guest is refused.
 */
#ifndef CLI_DAP_H
#define CLI_DAP_H

#include "analysis/x86.h"
#include "cli/cli.h"
#include "cli/dap_lines.h"
#include "cli/family.h"
#include "cli/linux_names.h"
#include "cli/names.h"
#include "replay/sink_file.h"
#include "replay/query.h"
#include "replay/timeline.h"

#include <json-c/json.h>

/* ---- framing ---- */

enum { DAP_MESSAGE_SIZE_MAX = 1 << 20 };

struct dap_wire {
    int in, out;
    struct buf input;
    size_t input_at; /* bytes before it have been taken */
    uint64_t seq;    /* of the message sent last */
    bool closed;     /* the client is gone, or talks nonsense */
    const char *complaint;
};

void dap_wire_init(struct dap_wire *wire, int in, int out);
void dap_wire_fini(struct dap_wire *wire);

/* The next message, the caller's to put; NULL: there is none yet (`wait` false), or
 * wire->closed. */
struct json_object *dap_wire_next(struct dap_wire *wire, bool wait);

/* Send a message (taken over) with its number. */
void dap_wire_send(struct dap_wire *wire, struct json_object *message);

/* Parse one frame at the start of `input`: 1 and the message and its size, 0 if it is
 * not whole yet, -1 with the reason if it never will be. */
int dap_frame_parse(struct bytes input, struct json_object **ret_message,
                    size_t *ret_size, const char **ret_complaint);

/* ---- the program as text ---- */

struct dap_line {
    uint64_t address;
    uint32_t text; /* offset of the line */
};

/* One line for each instruction; no lines for a guest whose code cannot be walked. */
struct dap_listing {
    struct buf text;
    struct buf lines; /* struct dap_line, by address */
    uint32_t count;
};

enum err dap_listing_make(const struct replay_guest *guest,
                          struct dap_listing *listing);
void dap_listing_free(struct dap_listing *listing);

/* The line, from 1, that holds an address; 0: none.  And the address of a line or the
 * next one behind it; false: behind the last. */
uint32_t dap_listing_line(const struct dap_listing *listing, uint64_t address);
bool dap_listing_address(const struct dap_listing *listing, uint32_t line,
                         uint64_t *ret_address);

/* The words of the instruction at `address`: "load_imm_jump", ...; "" if none. */
struct bytes dap_listing_word(const struct dap_listing *listing, uint64_t address);

/* ---- the session ---- */

enum {
    DAP_STOP_MAX = 4096,
    DAP_WAITING_MAX = 256,
    DAP_THREAD = 1,
    DAP_FRAME = 1,
    DAP_SOURCE = 1
};
enum { DAP_REF_REGISTERS = 1, DAP_REF_POSITION = 2 };

/* Where breakpoints come from; each request replaces those of its kind. */
enum dap_stop_source { DAP_BY_LINE, DAP_BY_ADDRESS, DAP_BY_FUNCTION, DAP_STOP_SOURCES };

/* "LEFT OP RIGHT" (dap_condition.c). */
struct dap_operand {
    enum {
        DAP_OPERAND_NUMBER,
        DAP_OPERAND_REGISTER, /* by its index */
        DAP_OPERAND_MEMORY,   /* eight bytes */
        DAP_OPERAND_ICOUNT,
    } kind;
    uint64_t value;
};
struct dap_condition {
    bool present;
    uint8_t op;
    struct dap_operand left, right;
};
/* Which hits of a run forwards count. */
struct dap_hits {
    bool present, every;
    uint8_t op;
    uint64_t count;
};

/* A line or name may have several addresses: then the first one has hits and id of all.
 */
struct dap_break {
    uint64_t address;
    bool used;       /* else the place is free: ids do not move */
    bool pending;    /* of a function that is not known yet: there is no address */
    uint32_t name;   /* of a function: where in the names */
    uint32_t first;  /* where in the list the first one of the line is */
    uint32_t source; /* of a line: 0 the listing, else a file from 1 */
    struct dap_condition condition;
    struct dap_hits hits;
    uint64_t hit_count; /* in this run */
};

struct dap_stops {
    struct buf list[DAP_STOP_SOURCES]; /* struct dap_break; their ids are by position */
    struct buf watch;                  /* struct replay_watch */
    struct buf names;                  /* of functions, each with a NUL behind it */
};

/* What to open, by the command line or the launch request. */
struct dap_start {
    const char *trace;   /* NULL: the client says which */
    const char *parent;  /* as for cli_family_open() */
    const char *modules; /* a folder; NULL: none */
    bool no_kallsyms;
};

struct dap {
    struct cli *cli;
    struct dap_wire wire;
    struct json_object *waiting; /* requests that came while the guest ran */
    struct arena arena;
    struct dap_start start; /* what the user has named */
    struct replay_source_file file;
    struct trace_source source;
    struct cli_family family; /* of a child that needs its parent */
    struct replay_debug debug;
    struct replay_timeline *timeline; /* NULL: no trace is open */
    struct replay_query query;
    struct dap_listing listing;
    struct dap_lines lines;        /* empty: no debug information was given */
    struct cli_names names;        /* likewise */
    struct cli_linux_names system; /* of a pc that runs it */
    struct analysis_x86 *x86;      /* of a pc; else NULL */
    struct dap_stops stops;
    bool stop_on_entry;
    bool ended; /* disconnect */
};

/* A request that is being answered. */
struct dap_request {
    struct dap *dap;
    struct json_object *message;
    struct json_object *arguments; /* NULL: none */
    struct json_object *body;      /* of the answer; the handler's to set */
    const char *error;             /* why not; then there is no body */
    /* What to do once the answer is out. */
    void (*then)(struct dap *dap, struct dap_request *request);
};

/* Run a session until the client leaves.  CLI_YES, or CLI_UNKNOWN after a message. */
int dap_run(struct cli *cli, const struct dap_start *start, int in, int out);

/* Has the client something to say that ends a run?  Its requests wait. */
bool dap_interrupted(struct dap *dap);

/* Arguments of a request: text or NULL; a number or `otherwise`; the text of a memory
 * reference as a number. */
const char *dap_text(const struct json_object *object, const char *key);
int64_t dap_number(const struct json_object *object, const char *key,
                   int64_t otherwise);
bool dap_address(const struct json_object *object, const char *key,
                 uint64_t *ret_address);

/* Building. */
void dap_put_text(struct json_object *object, const char *key, const char *text);
void dap_put_number(struct json_object *object, const char *key, int64_t value);
void dap_put_address(struct json_object *object, const char *key, uint64_t address);
void dap_put_bool(struct json_object *object, const char *key, bool value);
void dap_send_event(struct dap *dap, const char *event, struct json_object *body);

/* The register `index` as a number, and the index of a name, maybe with $. */
uint64_t dap_register(const struct dap *dap, unsigned index);
bool dap_register_named(const struct dap *dap, const char *name, unsigned *ret_index);
/* `size` bytes of memory, at most 8, as a number; false: unreadable. */
bool dap_memory_number(const struct dap *dap, uint64_t address, unsigned size,
                       uint64_t *ret_value);

/* dap_names.c: append the function that a frame is in, as cli_names_put(). */
bool dap_put_name(const struct dap *dap, uint64_t pc, bool is_caller, struct buf *text);
/* Where something that has a name is; false: that is no name. */
bool dap_symbol(const struct dap *dap, const char *text, uint64_t *ret_address);
/* A number, or a name. */
bool dap_number_or_symbol(const struct dap *dap, const char *text,
                          uint64_t *ret_address);
/* The next address of a name; all zero to begin with.  False: there are no more. */
struct dap_place {
    size_t at; /* among the names of programs */
    struct cli_linux_place system;
};
bool dap_find(const struct dap *dap, const char *name, struct dap_place *place,
              uint64_t *ret_address);
/* The names of where the guest stands; the client is told of what changes.  `again`:
 * also those of a kernel that has not been found. */
void dap_names_look(struct dap *dap, bool again);

/* dap_code.c: append the text of an instruction; answers its size, 0: there is none. */
unsigned dap_instruction(const struct dap *dap, uint64_t address, struct buf *text);

/* ---- requests, by file ---- */

/* dap_stops.c */
void dap_stops_free(struct dap_stops *stops);
void dap_set_breakpoints(struct dap_request *request);
void dap_set_instruction_breakpoints(struct dap_request *request);
void dap_data_breakpoint_info(struct dap_request *request);
void dap_set_data_breakpoints(struct dap_request *request);
void dap_set_function_breakpoints(struct dap_request *request);
/* Names have changed: find all functions again, and tell the client. */
void dap_functions_again(struct dap *dap);
/* Is there a function that is not known yet? */
bool dap_functions_pending(const struct dap *dap);
/* Tell the time line; with one more breakpoint if `extra` is not NULL. */
enum err dap_stops_apply(struct dap *dap, const uint64_t *extra, size_t extra_count);
/* The id of the breakpoint at an address; 0: none. */
int64_t dap_stops_id(const struct dap *dap, uint64_t address);
/* A run begins: no breakpoint has been hit. */
void dap_stops_begin(struct dap *dap);
/* The guest stands at `address`: does a breakpoint there want it to stop?  Forwards,
 * hits are counted. */
bool dap_stops_accept(struct dap *dap, uint64_t address, bool backwards);
int64_t dap_watch_id(const struct dap *dap, const struct replay_stop *stop);

/* dap_condition.c.  False: it makes no sense. */
bool dap_condition_parse(const struct dap *dap, const char *text,
                         struct dap_condition *ret_condition);
bool dap_condition_holds(const struct dap *dap, const struct dap_condition *condition);
bool dap_hits_parse(const char *text, struct dap_hits *ret_hits);
bool dap_hits_hold(const struct dap_hits *hits, uint64_t count);

/* dap_run.c */
void dap_continue(struct dap_request *request);
void dap_reverse_continue(struct dap_request *request);
void dap_next(struct dap_request *request);
void dap_step_in(struct dap_request *request);
void dap_step_out(struct dap_request *request);
void dap_step_back(struct dap_request *request);
void dap_goto_targets(struct dap_request *request);
void dap_goto(struct dap_request *request);
/* Run forwards to one of these addresses, with the stack at least this high, or to a
 * stop of the user's.  True: to one of the addresses; false: the client has been told.
 */
bool dap_run_to(struct dap *dap, const uint64_t *address, size_t count,
                uint64_t sp_least);
/* Run backwards to an address, likewise. */
bool dap_run_back_to(struct dap *dap, uint64_t address, uint64_t sp_least);
/* Why it stopped, in the protocol's words. */
void dap_tell(struct dap *dap, enum err err, enum replay_end_kind end,
              const struct replay_stop *stop, bool backwards);
bool dap_is_call(const struct dap *dap, uint64_t address);
/* The instruction behind the one at `address`, and the one in front of it. */
bool dap_address_behind(const struct dap *dap, uint64_t address, uint64_t *ret_address);
bool dap_address_before(const struct dap *dap, uint64_t address, uint64_t *ret_address);
void dap_send_stopped(struct dap *dap, const char *reason, const char *text,
                      int64_t breakpoint);
/* Go to a position as people type it; a message, or NULL. */
const char *dap_seek(struct dap *dap, const char *position);

/* dap_step.c */
/* Is this step to be one of lines: does the client want it, and is the guest in one? */
bool dap_steps_lines(const struct dap_request *request);
void dap_step_line_in(struct dap *dap, struct dap_request *request);
void dap_step_line_over(struct dap *dap, struct dap_request *request);
void dap_step_line_back(struct dap *dap, struct dap_request *request);

/* dap_look.c */
void dap_threads(struct dap_request *request);
void dap_stack_trace(struct dap_request *request);
void dap_scopes(struct dap_request *request);
void dap_variables(struct dap_request *request);
void dap_evaluate(struct dap_request *request);
void dap_read_memory(struct dap_request *request);
void dap_source(struct dap_request *request);
void dap_loaded_sources(struct dap_request *request);
struct json_object *dap_listing_source(void);
/* Where the callers of an i386 function go on, the innermost first; answers how many.
 */
size_t dap_callers(const struct dap *dap, uint64_t *ret_pc, size_t max);

/* dap_code.c */
void dap_disassemble(struct dap_request *request);

#endif
