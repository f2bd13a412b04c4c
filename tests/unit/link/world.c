/* SPDX-License-Identifier: MIT */
#include "tests/unit/link/world.h"

#include "base/os.h"
#include "tests/test.h"

#include <string.h>

enum { FILE_MAX = 1 << 24 };

void world_init(struct world *world)
{
    *world = (struct world){0};
    arena_init(&world->arena, (size_t)1 << 30);
    link_options_init(&world->options);
}

void world_fini(struct world *world)
{
    for (size_t i = 0; i < world->input_count; i++)
        buf_fini(&world->file[i]);
    if (world->reservation)
        os_release(world->reservation, PVM_MEM_RESERVE_SIZE);
    arena_fini(&world->arena);
}

static struct buf *next_file(struct world *world, const char *name)
{
    check(world->input_count < WORLD_INPUT_MAX);
    struct buf *file = &world->file[world->input_count];
    buf_init(file, FILE_MAX);
    world->input[world->input_count++].name = name;
    return file;
}

static void take_file(struct world *world, const struct buf *file)
{
    world->input[world->input_count - 1].content = buf_bytes(file);
}

void world_add(struct world *world, const char *name, struct object *object)
{
    struct buf *file = next_file(world, name);
    object_finish(object, file);
    object_fini(object);
    take_file(world, file);
}

void world_add_file(struct world *world, const char *path, const char *name)
{
    struct buf *file = next_file(world, name);
    enum err err = os_file_read(path, file);
    if (err)
        fail_msg("%s: %s", path, err_text(err));
    take_file(world, file);
}

void world_link(struct world *world)
{
    world->err = link_objects(&world->arena, world->input, world->input_count,
                              &world->options, &world->problems, &world->result);
}

void world_link_ok(struct world *world)
{
    world_link(world);
    for (uint32_t i = 0; i < world->problems.count; i++)
        print_message("%s\n", world->problems.list[i].text);
    if (world->err)
        fail_msg("link: %s", err_text(world->err));
}

static void make_program(struct world *world, const struct pvm_code *code)
{
    struct pvm_config config = pvm_config_default(world->options.profile);
    assert_int_equal(pvm_program_create(&world->arena, code, &config, PVM_GAS_LOG_NONE,
                                        &world->program),
                     ERR_ok);
    assert_int_equal(pvm_engine_create(&world->arena, &world->engine), ERR_ok);
    assert_int_equal(os_reserve(PVM_MEM_RESERVE_SIZE, &world->reservation), ERR_ok);
    world->mem = pvm_mem_init(world->reservation);
}

static const uint32_t window[] = {RV_LOW, RV_MIDDLE, RV_HIGH};

void world_prepare(struct world *world)
{
    make_program(world, &world->result.code);
    for (size_t i = 0; i < countof(window); i++)
        assert_int_equal(pvm_mem_map(world->mem, window[i], RV_WINDOW_SIZE,
                                     PVM_ACCESS_RW, bytes_of(NULL, 0)),
                         ERR_ok);
}

void world_load(struct world *world, struct pvm_state *ret_state)
{
    struct pvm_container container;
    static const uint8_t none;
    enum pvm_container_kind kind =
        world->options.format == LINK_FORMAT_RAW   ? PVM_CONTAINER_RAW
        : world->options.format == LINK_FORMAT_SPI ? PVM_CONTAINER_SPI
                                                   : PVM_CONTAINER_POLKAVM;
    assert_int_equal(pvm_container_load(&world->arena, kind, world->options.profile,
                                        world->result.output, bytes_of(&none, 0),
                                        &container),
                     ERR_ok);
    struct pvm_code *code = arena_new(&world->arena, struct pvm_code);
    check(code);
    *code = container.code;
    make_program(world, code);
    for (uint32_t i = 0; i < container.region_count; i++) {
        const struct pvm_region *region = &container.region[i];
        assert_int_equal(pvm_mem_map(world->mem, region->start, region->size,
                                     region->access, region->data),
                         ERR_ok);
    }
    *ret_state = (struct pvm_state){.gas = (uint64_t)1 << 60, .mem = world->mem};
    memcpy(ret_state->reg, container.reg, sizeof ret_state->reg);
    if (kind == PVM_CONTAINER_RAW)
        ret_state->reg[0] = PVM_HALT_ADDRESS;
}

struct pvm_outcome world_run(struct world *world, struct pvm_state *state)
{
    return pvm_run(world->engine, world->program, state, NULL, NULL);
}

void world_set_memory(struct world *world, const struct rv_memory *memory)
{
    const uint8_t *data[] = {memory->low, memory->middle, memory->high};
    for (size_t i = 0; i < countof(window); i++)
        assert_int_equal(
            pvm_mem_write(world->mem, window[i], data[i], RV_WINDOW_SIZE, NULL),
            ERR_ok);
}

void world_get_memory(struct world *world, struct rv_memory *ret_memory)
{
    uint8_t *data[] = {ret_memory->low, ret_memory->middle, ret_memory->high};
    for (size_t i = 0; i < countof(window); i++)
        assert_int_equal(pvm_mem_read(world->mem, window[i], RV_WINDOW_SIZE, data[i]),
                         ERR_ok);
}

uint32_t rv_i(uint32_t match, unsigned rd, unsigned rs1, int32_t imm)
{
    return match | rd << 7 | rs1 << 15 | (uint32_t)imm << 20;
}

uint32_t rv_s(uint32_t match, unsigned rs2, unsigned rs1, int32_t imm)
{
    uint32_t i = (uint32_t)imm;
    return match | (i & 31) << 7 | rs1 << 15 | rs2 << 20 | (i >> 5 & 127) << 25;
}

uint32_t rv_b(uint32_t match, unsigned rs1, unsigned rs2, int32_t offset)
{
    uint32_t i = (uint32_t)offset;
    return match | rs1 << 15 | rs2 << 20 | (i >> 11 & 1) << 7 | (i >> 1 & 15) << 8 |
           (i >> 5 & 63) << 25 | (i >> 12 & 1) << 31;
}

uint32_t rv_j(unsigned rd, int32_t offset)
{
    uint32_t i = (uint32_t)offset;
    return 0x6f | rd << 7 | (i >> 12 & 255) << 12 | (i >> 11 & 1) << 20 |
           (i >> 1 & 1023) << 21 | (i >> 20 & 1) << 31;
}

uint32_t rv_r(uint32_t match, unsigned rd, unsigned rs1, unsigned rs2)
{
    return match | rd << 7 | rs1 << 15 | rs2 << 20;
}

unsigned world_phi(unsigned reg)
{
    static const uint8_t phi[16] = {99, 0, 1, 99, 99, 2,  3,  4,
                                    5,  6, 7, 8,  9,  10, 11, 12};
    check(reg < 16 && phi[reg] < PVM_REG_COUNT);
    return phi[reg];
}
