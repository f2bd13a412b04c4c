/* SPDX-License-Identifier: MIT */
#include "cli/debug_modules.h"

#include "base/os.h"

#include <inttypes.h>

enum { SCRIPT_SIZE_MAX = 64 << 20 };

void cli_modules_put_path(struct buf *text, const char *path)
{
    buf_byte(text, '"');
    for (; *path; path++) {
        if (*path == '"' || *path == '\\')
            buf_byte(text, '\\');
        buf_byte(text, (uint8_t)*path);
    }
    buf_byte(text, '"');
}

static enum err put_add(void *self, const struct replay_module_list *list, size_t index,
                        const char *path)
{
    struct buf *script = self;
    const struct replay_module *module = &list->item[index];
    buf_text(script, "add-symbol-file ");
    cli_modules_put_path(script, path);
    for (size_t i = 0; i < module->section_count; i++) {
        const struct replay_module_section *section = &module->section[i];
        if (cli_modules_section(list, index, i))
            buf_printf(script, " -s %s 0x%" PRIx32, section->name, section->address);
    }
    buf_byte(script, '\n');
    return script->err;
}

static void put_drop(void *self, const struct cli_module *module)
{
    struct buf *script = self;
    buf_text(script, "remove-symbol-file ");
    cli_modules_put_path(script, module->path);
    buf_byte(script, '\n');
}

enum err cli_modules_load(struct cli_modules *m, const struct replay_guest *guest,
                          const struct replay_module_list *list, const char *file,
                          struct buf *text)
{
    struct buf script;
    buf_init(&script, SCRIPT_SIZE_MAX);
    const struct cli_module_sink sink = {put_add, put_drop, &script};
    enum err err = cli_modules_update(m, guest, list, &sink, text);
    if (!err)
        err = script.err;
    if (!err)
        err = os_file_write(file, buf_bytes(&script));
    buf_fini(&script);
    return err;
}
