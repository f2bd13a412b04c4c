/* SPDX-License-Identifier: MIT
 *
 * emu/pc.h - the board of the pc guest: processor, RAM, devices, time (machine.md 2,
 * 5).
 *
 * A machine runs until a step count; it asks its host table for input and tells it what
 * happens.  Everything else is a function of the configuration and of RAM as the loader
 * (emu/boot.h) left it.  Nothing is allocated after creation.  One thread.
 */
#ifndef EMU_PC_H
#define EMU_PC_H

#include "emu/cpu.h"
#include "emu/host.h"
#include "emu/pci.h"
#include "emu/pic.h"
#include "emu/pit.h"
#include "emu/rtc.h"
#include "emu/uart.h"
#include "emu/virtio_pci.h"

/* The model grows when a run, or its state hashes, may differ: 2 has the Merkle tree
 * over pages (trace-replay.md 7.2). */
enum { EMU_PC_MODEL = 2, EMU_PC_FS_MAX = 4 };

struct emu_pc_config {
    uint32_t ram_size;    /* bytes, a multiple of 1 MiB */
    uint32_t ns_per_insn; /* 1 to 1000 */
    uint32_t cpu;         /* EMU_FEATURE_* */
    uint64_t epoch;       /* ns since 1970 at step 0 */
    size_t cache_size;    /* for decoded code; the guest cannot see it */
    uint32_t fs_count;    /* virtio devices, at most EMU_PC_FS_MAX */
    struct emu_virtio_pci_options fs[EMU_PC_FS_MAX];
};

/* machine.md 2.1: 128 MiB, 10 ns, all features, epoch 1700000000 s; no virtio. */
void emu_pc_config_init(struct emu_pc_config *config);

/* What a run has come to. */
enum emu_pc_status {
    EMU_PC_LIMIT,   /* the step count is reached */
    EMU_PC_ENDED,   /* pc->cause and pc->code say how */
    EMU_PC_IDLE,    /* the guest sleeps, and neither a timer nor input will wake it */
    EMU_PC_CLOCK,   /* virtual time is used up */
    EMU_PC_STOPPED, /* emu_pc_stop() was called */
};

/* Ports that belong to no chip. */
struct emu_pc_system {
    uint8_t control; /* port 61, bits 0 and 1 */
    uint8_t gate;    /* port 92 bit 0 */
    uint8_t reset;   /* port cf9 */
    bool fpu_error;  /* the latch behind FERR */
};

struct emu_pc {
    struct emu_pc_config config;
    struct emu_host host;
    struct emu_ram *ram;
    struct emu_cpu *cpu;
    struct emu_pics pics;
    struct emu_pit pit;
    struct emu_rtc rtc;
    struct emu_uart uart;
    struct emu_pci pci;
    struct emu_virtio_pci fs[EMU_PC_FS_MAX];
    struct emu_pc_system system;

    enum emu_reset_cause cause; /* EMU_RESET_NONE while running */
    uint32_t code;

    uint64_t slice_end; /* vns up to which the processor was told to run */
    uint64_t pit_deadline, rtc_deadline; /* derived */
    bool log_ports;                      /* tell the host of every port access */
    bool stop;
};

/* A machine after power on, in `arena`; `host` is copied.  Devices behind the virtio
 * functions are connected by the caller (pc->fs[i].virtio.ops) before it runs.
 * ERR_usage for a configuration outside its limits; ERR_nomem. */
ERR_MUST_CHECK enum err emu_pc_create(struct arena *arena,
                                      const struct emu_pc_config *config,
                                      const struct emu_host *host,
                                      struct emu_pc **ret_pc);

/* Run until `limit` steps were counted since power on, or until something else ends the
 * run.  Exact: EMU_PC_LIMIT comes at that step or, in a long `rep`, right behind it. */
enum emu_pc_status emu_pc_run(struct emu_pc *pc, uint64_t limit_icount);

/* From a host's callback: return to the caller of emu_pc_run() at the next boundary. */
void emu_pc_stop(struct emu_pc *pc);

/* Virtual time of day: epoch + vns.  For file time stamps (machine.md 2.7). */
uint64_t emu_pc_now_ns(void *pc);

struct emu_place emu_pc_place(const struct emu_pc *pc);

/* Where virtual time, which has not come to `vns` yet, will have done so if the
 * processor goes on as it is: running, or asleep. */
struct emu_place emu_pc_place_at(const struct emu_pc *pc, uint64_t vns);

/* Recompute all that is derived from the state, after loading one. */
void emu_pc_loaded(struct emu_pc *pc);

/* ---- for the files of the board (emu/ports.c) ---- */

uint32_t emu_pc_port_read(void *pc, uint16_t port, unsigned size);
void emu_pc_port_write(void *pc, uint16_t port, uint32_t value, unsigned size);

/* Drive the interrupt lines anew after a device has changed. */
void emu_pc_update_lines(struct emu_pc *pc);

/* Deadlines have changed: end the slice if one lies in it. */
void emu_pc_update_deadlines(struct emu_pc *pc);

/* The run ends in this step. */
void emu_pc_end(struct emu_pc *pc, enum emu_reset_cause cause, uint32_t code);

#endif
