/* SPDX-License-Identifier: MIT
 *
 * Packets to bytes and back [9.1, 9.4 to 9.6].
 */
#include "nub/packet.h"

#include "kernel/cap.h"

#include <string.h>

static const struct {
    uint32_t fn;
    const char *name;
} functions[] = {
#define NUB_FN(id, name, request, opens, text) {id, #name},
#include "nub/functions.def"
};

const char *nub_fn_name(uint32_t fn)
{
    for (size_t i = 0; i < countof(functions); i++) {
        if (functions[i].fn == fn)
            return functions[i].name;
    }
    return "?";
}

bool nub_fn_find(const char *name, enum nub_fn *ret_fn)
{
    for (size_t i = 0; i < countof(functions); i++) {
        if (!strcmp(functions[i].name, name)) {
            *ret_fn = (enum nub_fn)functions[i].fn;
            return true;
        }
    }
    return false;
}

static void hash_put(uint8_t *at, const struct hash256 *hash)
{
    memcpy(at, hash->byte, HASH256_SIZE);
}

static bool is_zero(const uint8_t *bytes, size_t size)
{
    uint8_t any = 0;
    for (size_t i = 0; i < size; i++)
        any |= bytes[i];
    return any == 0;
}

/* ---- frames ---- */

static const uint8_t magic[4] = {'P', 'V', 'M', 'R'};
enum { FRAME_VERSION = 1 };

void nub_header_encode(const struct nub_header *header, uint8_t bytes[NUB_HEADER_SIZE])
{
    memcpy(bytes, magic, sizeof magic);
    kernel_u32_put(bytes + 4, FRAME_VERSION | (uint32_t)header->flags << 16);
    kernel_u32_put(bytes + 8, header->fn);
    kernel_u32_put(bytes + 12, header->seq);
    kernel_u32_put(bytes + 16, header->status);
    kernel_u32_put(bytes + 20, header->size);
}

bool nub_header_decode(const uint8_t bytes[NUB_HEADER_SIZE],
                       struct nub_header *ret_header)
{
    uint32_t size = kernel_u32(bytes + 20), version = kernel_u32(bytes + 4);
    if (memcmp(bytes, magic, sizeof magic) != 0 ||
        (version & 0xffff) != FRAME_VERSION || size > NUB_PAYLOAD_MAX)
        return false;
    *ret_header = (struct nub_header){.flags = (uint16_t)(version >> 16),
                                      .fn = kernel_u32(bytes + 8),
                                      .seq = kernel_u32(bytes + 12),
                                      .status = kernel_u32(bytes + 16),
                                      .size = size};
    return true;
}

bool nub_header_answers(const struct nub_header *response,
                        const struct nub_header *request)
{
    return response->fn == request->fn && response->seq == request->seq &&
           response->flags == 0;
}

/* None, but for PUT_CAP. */
size_t nub_refusal_encode(uint32_t fn, uint8_t payload[NUB_REFUSAL_MAX])
{
    if (fn != NUB_FN_put_cap)
        return 0;
    memset(payload, 0xff, HASH256_SIZE);
    return HASH256_SIZE;
}

/* ---- packets ---- */

void nub_invoke_encode(const struct nub_invoke *invoke, uint8_t bytes[NUB_INVOKE_SIZE])
{
    hash_put(bytes, &invoke->instance);
    kernel_u32_put(bytes + 32, invoke->endpoint);
    kernel_u32_put(bytes + 36, invoke->pad);
    for (int i = 0; i < 4; i++)
        kernel_u64_put(bytes + 40 + 8 * i, invoke->args[i]);
    kernel_u64_put(bytes + 72, invoke->gas);
}

bool nub_invoke_decode(struct bytes payload, struct nub_invoke *ret_invoke)
{
    const uint8_t *p = payload.data;
    if (payload.size != NUB_INVOKE_SIZE)
        return false;
    ret_invoke->instance = kernel_hash_at(p);
    ret_invoke->endpoint = kernel_u32(p + 32);
    ret_invoke->pad = kernel_u32(p + 36);
    for (int i = 0; i < 4; i++)
        ret_invoke->args[i] = kernel_u64(p + 40 + 8 * i);
    ret_invoke->gas = kernel_u64(p + 72);
    return true;
}

void nub_resume_encode(const struct nub_resume *resume, uint8_t bytes[NUB_RESUME_SIZE])
{
    kernel_u32_put(bytes, resume->flags);
    kernel_u32_put(bytes + 4, 0);
    hash_put(bytes + 8, &resume->scratch);
    kernel_u64_put(bytes + 40, resume->topup);
}

bool nub_resume_decode(struct bytes payload, struct nub_resume *ret_resume)
{
    const uint32_t known = KERNEL_RESUME_SCRATCH | KERNEL_RESUME_DROP;
    const uint8_t *p = payload.data;
    if (payload.size != NUB_RESUME_SIZE || (kernel_u32(p) & ~known) ||
        kernel_u32(p + 4))
        return false;
    *ret_resume = (struct nub_resume){.flags = kernel_u32(p),
                                      .scratch = kernel_hash_at(p + 8),
                                      .topup = kernel_u64(p + 40)};
    return true;
}

void nub_result_encode(const struct kernel_result *result,
                       uint8_t bytes[NUB_RESULT_SIZE])
{
    kernel_u32_put(bytes, result->exit_reason);
    kernel_u32_put(bytes + 4, result->exit_arg);
    kernel_u64_put(bytes + 8, result->return_value);
    kernel_u64_put(bytes + 16, result->gas_remaining);
}

static struct kernel_result result_at(const uint8_t *p)
{
    return (struct kernel_result){.exit_reason = kernel_u32(p),
                                  .exit_arg = kernel_u32(p + 4),
                                  .return_value = kernel_u64(p + 8),
                                  .gas_remaining = kernel_u64(p + 16)};
}

bool nub_result_decode(struct bytes payload, struct kernel_result *ret_result)
{
    if (payload.size != NUB_RESULT_SIZE)
        return false;
    *ret_result = result_at(payload.data);
    return true;
}

/* The token says no more than "initialised", so that recordings compare. */
#define BOOT_MAGIC UINT64_C(0x4a41525f424f4f54)
#define BOOT_VA_BASE UINT64_C(0x500000000000)
enum { BOOT_TOKEN = 1, BOOT_TYPE_ID = 1 };

void nub_boot_info_encode(uint8_t bytes[NUB_BOOT_INFO_SIZE])
{
    memset(bytes, 0, NUB_BOOT_INFO_SIZE);
    kernel_u64_put(bytes, BOOT_MAGIC);
    kernel_u64_put(bytes + 8, BOOT_TOKEN);
    kernel_u64_put(bytes + 16, BOOT_TYPE_ID);
    kernel_u64_put(bytes + 24, BOOT_VA_BASE);
}

bool nub_boot_info_decode(struct bytes payload, struct nub_boot_info *ret_info)
{
    const uint8_t *p = payload.data;
    if (payload.size != NUB_BOOT_INFO_SIZE || kernel_u64(p) != BOOT_MAGIC ||
        kernel_u64(p + 8) == 0 || kernel_u64(p + 16) != BOOT_TYPE_ID ||
        kernel_u64(p + 24) != BOOT_VA_BASE || !is_zero(p + 32, NUB_BOOT_INFO_SIZE - 32))
        return false;
    *ret_info = (struct nub_boot_info){.token = kernel_u64(p + 8),
                                       .type_id = kernel_u64(p + 16),
                                       .va_base = kernel_u64(p + 24)};
    return true;
}

/* ---- outcome ---- */

enum { HAS_POST_INSTANCE = 1, HAS_SLOT0 = 2, HAS_MARKER = 4, HAS_ALL = 7 };

void nub_outcome_encode(const struct kernel_outcome *o, uint8_t bytes[NUB_OUTCOME_SIZE])
{
    kernel_u32_put(bytes, (uint32_t)o->variant);
    kernel_u32_put(bytes + 4, (o->has_post_instance ? HAS_POST_INSTANCE : 0u) |
                                  (o->has_slot0 ? HAS_SLOT0 : 0u) |
                                  (o->has_marker ? HAS_MARKER : 0u));
    nub_result_encode(&o->result, bytes + 8);
    kernel_u64_put(bytes + 32, o->gas_used);
    kernel_u32_put(bytes + 40, (uint32_t)o->error);
    kernel_u32_put(bytes + 44, (uint32_t)o->cause);
    kernel_u32_put(bytes + 48, o->stack_size);
    kernel_u32_put(bytes + 52, o->frame);
    kernel_u64_put(bytes + 56, o->pc);
    for (int i = 0; i < PVM_REG_COUNT; i++)
        kernel_u64_put(bytes + 64 + 8 * i, o->reg[i]);
    hash_put(bytes + 168, &o->post_instance);
    hash_put(bytes + 200, &o->slot0);
    hash_put(bytes + 232, &o->marker);
    hash_put(bytes + 264, &o->chain);
    hash_put(bytes + 296, &o->cnode);
    hash_put(bytes + 328, &o->mem_digest);
    kernel_u64_put(bytes + 360, o->trace_count);
    hash_put(bytes + 368, &o->trace_digest);
}

bool nub_outcome_decode(struct bytes payload, struct kernel_outcome *ret_outcome)
{
    const uint8_t *p = payload.data;
    if (payload.size != NUB_OUTCOME_SIZE || kernel_u32(p) > KERNEL_VARIANT_DROPPED ||
        (kernel_u32(p + 4) & ~(uint32_t)HAS_ALL) ||
        kernel_u32(p + 44) > KERNEL_CAUSE_OUT_OF_GAS)
        return false;
    uint32_t has = kernel_u32(p + 4);
    struct kernel_outcome o = {.variant = (enum kernel_variant)kernel_u32(p),
                               .result = result_at(p + 8),
                               .gas_used = kernel_u64(p + 32),
                               .error = (enum kernel_error)kernel_u32(p + 40),
                               .cause = (enum kernel_cause)kernel_u32(p + 44),
                               .stack_size = kernel_u32(p + 48),
                               .frame = kernel_u32(p + 52),
                               .pc = kernel_u64(p + 56),
                               .has_post_instance = has & HAS_POST_INSTANCE,
                               .has_slot0 = has & HAS_SLOT0,
                               .has_marker = has & HAS_MARKER,
                               .post_instance = kernel_hash_at(p + 168),
                               .slot0 = kernel_hash_at(p + 200),
                               .marker = kernel_hash_at(p + 232),
                               .chain = kernel_hash_at(p + 264),
                               .cnode = kernel_hash_at(p + 296),
                               .mem_digest = kernel_hash_at(p + 328),
                               .trace_count = kernel_u64(p + 360),
                               .trace_digest = kernel_hash_at(p + 368)};
    for (int i = 0; i < PVM_REG_COUNT; i++)
        o.reg[i] = kernel_u64(p + 64 + 8 * i);
    *ret_outcome = o;
    return true;
}

/* ---- configuration ---- */

enum { SPEC_VERSION = 1 };

void nub_config_encode(const struct kernel_config *c, uint8_t bytes[NUB_CONFIG_SIZE])
{
    kernel_u32_put(bytes, SPEC_VERSION);
    kernel_u32_put(bytes + 4, c->flags);
    kernel_u32_put(bytes + 8, c->max_depth);
    kernel_u32_put(bytes + 12, c->gas_table_id);
    kernel_u64_put(bytes + 16, c->max_frame_mem);
    kernel_u64_put(bytes + 24, c->max_stack_mem);
    kernel_u64_put(bytes + 32, c->max_dir_bytes);
    kernel_u32_put(bytes + 40, c->max_dir_caps);
    kernel_u32_put(bytes + 44, c->max_assist_entries);
    kernel_u32_put(bytes + 48, c->max_trace_records);
    kernel_u32_put(bytes + 52, (uint32_t)c->engine);
    kernel_u64_put(bytes + 56, 0);
}

bool nub_config_decode(struct bytes payload, struct kernel_config *ret_config)
{
    const uint8_t *p = payload.data;
    if (payload.size != NUB_CONFIG_SIZE || kernel_u32(p) != SPEC_VERSION ||
        kernel_u32(p + 52) > KERNEL_ENGINE_RECOMP || kernel_u64(p + 56))
        return false;
    *ret_config =
        (struct kernel_config){.flags = kernel_u32(p + 4),
                               .max_depth = kernel_u32(p + 8),
                               .gas_table_id = kernel_u32(p + 12),
                               .max_frame_mem = kernel_u64(p + 16),
                               .max_stack_mem = kernel_u64(p + 24),
                               .max_dir_bytes = kernel_u64(p + 32),
                               .max_dir_caps = kernel_u32(p + 40),
                               .max_assist_entries = kernel_u32(p + 44),
                               .max_trace_records = kernel_u32(p + 48),
                               .engine = (enum kernel_engine)kernel_u32(p + 52)};
    return true;
}
