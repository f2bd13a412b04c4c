/* SPDX-License-Identifier: MIT
 *
 * Symbols: of PVM programs from debug information, of a Linux guest from its kernel's
 * table and the files of its modules.
 */
#include "cli/dap.h"

bool dap_put_name(const struct dap *dap, uint64_t pc, bool is_caller, struct buf *text)
{
    return cli_names_put(&dap->names, pc, is_caller, text) ||
           cli_linux_names_put(&dap->system, pc, is_caller, text);
}

bool dap_find(const struct dap *dap, const char *name, struct dap_place *place,
              uint64_t *ret_address)
{
    return cli_names_find(&dap->names, name, &place->at, ret_address) ||
           cli_linux_names_find(&dap->system, name, &place->system, ret_address);
}

bool dap_symbol(const struct dap *dap, const char *text, uint64_t *ret_address)
{
    size_t at = 0;
    return cli_names_find(&dap->names, text, &at, ret_address) ||
           cli_linux_names_address(&dap->system, text, ret_address);
}

bool dap_number_or_symbol(const struct dap *dap, const char *text,
                          uint64_t *ret_address)
{
    return cli_number(text, ret_address) || dap_symbol(dap, text, ret_address);
}

static void send_output(struct dap *dap, const char *text)
{
    struct json_object *body = json_object_new_object();
    dap_put_text(body, "category", "important");
    dap_put_text(body, "output", text);
    dap_send_event(dap, "output", body);
}

void dap_names_look(struct dap *dap, bool again)
{
    struct buf *complaints = &dap->system.complaints;
    bool changed = cli_linux_names_look(&dap->system, again);
    if (complaints->size)
        send_output(dap, buf_string(complaints));
    buf_clear(complaints);
    if (changed)
        dap_functions_again(dap);
}
