/* SPDX-License-Identifier: MIT
 *
 * Conditions of breakpoints: "a0 == 5", "*0x20000 > gas", and counts of hits: "3",
 * ">= 3", "% 10".
 */
#include "cli/dap.h"

#include <ctype.h>
#include <string.h>

static const char *const comparison[] = {"==", "!=", "<=", ">=", "<", ">"};
enum { EQUAL, UNEQUAL, AT_MOST, AT_LEAST, LESS, GREATER };

static const char *skip_space(const char *text)
{
    while (isspace((unsigned char)*text))
        text++;
    return text;
}

static bool compare(unsigned op, uint64_t left, uint64_t right)
{
    switch (op) {
    case EQUAL:
        return left == right;
    case UNEQUAL:
        return left != right;
    case AT_MOST:
        return left <= right;
    case AT_LEAST:
        return left >= right;
    case LESS:
        return left < right;
    default:
        return left > right;
    }
}

/* The comparison that `text` begins with; false: none. */
static bool read_comparison(const char **text, uint8_t *ret_op)
{
    *text = skip_space(*text);
    for (uint8_t op = 0; op < sizeof comparison / sizeof comparison[0]; op++) {
        size_t size = strlen(comparison[op]);
        if (strncmp(*text, comparison[op], size) == 0) {
            *text += size;
            *ret_op = op;
            return true;
        }
    }
    return false;
}

/* One word up to a space or a comparison. */
static bool read_word(const char **text, char word[32])
{
    const char *at = skip_space(*text);
    size_t size = strcspn(at, " \t=!<>");
    if (!size || size >= 32)
        return false;
    memcpy(word, at, size);
    word[size] = 0;
    *text = at + size;
    return true;
}

static bool read_operand(const struct dap *dap, const char **text,
                         struct dap_operand *ret_operand)
{
    char word[32];
    unsigned index;
    if (!read_word(text, word))
        return false;
    if (strcmp(word, "icount") == 0) {
        ret_operand->kind = DAP_OPERAND_ICOUNT;
        return true;
    }
    if (dap_register_named(dap, word, &index)) {
        *ret_operand = (struct dap_operand){DAP_OPERAND_REGISTER, index};
        return true;
    }
    ret_operand->kind = word[0] == '*' ? DAP_OPERAND_MEMORY : DAP_OPERAND_NUMBER;
    return cli_number(word + (word[0] == '*'), &ret_operand->value);
}

bool dap_condition_parse(const struct dap *dap, const char *text,
                         struct dap_condition *ret_condition)
{
    struct dap_condition c = {.present = true};
    if (!read_operand(dap, &text, &c.left) || !read_comparison(&text, &c.op) ||
        !read_operand(dap, &text, &c.right) || *skip_space(text))
        return false;
    *ret_condition = c;
    return true;
}

static bool value_of(const struct dap *dap, const struct dap_operand *operand,
                     uint64_t *ret_value)
{
    switch (operand->kind) {
    case DAP_OPERAND_REGISTER:
        *ret_value = dap_register(dap, (unsigned)operand->value);
        return true;
    case DAP_OPERAND_MEMORY:
        return dap_memory_number(dap, operand->value, 8, ret_value);
    case DAP_OPERAND_ICOUNT:
        *ret_value = replay_timeline_now(dap->timeline).icount;
        return true;
    case DAP_OPERAND_NUMBER:
    default:
        *ret_value = operand->value;
        return true;
    }
}

bool dap_condition_holds(const struct dap *dap, const struct dap_condition *condition)
{
    uint64_t left, right;
    if (!condition->present)
        return true;
    return value_of(dap, &condition->left, &left) &&
           value_of(dap, &condition->right, &right) &&
           compare(condition->op, left, right);
}

bool dap_hits_parse(const char *text, struct dap_hits *ret_hits)
{
    struct dap_hits hits = {.present = true, .op = EQUAL};
    text = skip_space(text);
    hits.every = *text == '%';
    if (hits.every)
        text++;
    else
        (void)read_comparison(&text, &hits.op);
    char word[32];
    if (!read_word(&text, word) || !cli_number(word, &hits.count) || !hits.count ||
        *skip_space(text))
        return false;
    *ret_hits = hits;
    return true;
}

bool dap_hits_hold(const struct dap_hits *hits, uint64_t count)
{
    if (!hits->present)
        return true;
    return hits->every ? count % hits->count == 0
                       : compare(hits->op, count, hits->count);
}
