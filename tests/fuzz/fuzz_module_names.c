/* SPDX-License-Identifier: MIT
 *
 * Any bytes as the file of a module that a Linux guest has loaded, in three places.
 * Names are printable, and an address has the name of what is there.
 */
#include "cli/names.h"

#include "base/err.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_name(const struct cli_names *names, uint64_t pc)
{
    struct buf text;
    uint64_t start, address;
    size_t at = 0;
    buf_init(&text, 1 << 12);
    bool known = cli_names_put(names, pc, false, &text);
    check(known == cli_names_start(names, pc, &start));
    for (size_t i = 0; i < text.size; i++)
        check(text.data[i] >= ' ' && text.data[i] <= '~');
    check(!known || start <= pc);
    if (known && start == pc) {
        check(buf_string(&text)[0]);
        char *bracket = strstr((char *)text.data, " [my_mod]");
        check(bracket != NULL);
        *bracket = 0;
        check(cli_names_find(names, (const char *)text.data, &at, &address));
    }
    buf_fini(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct replay_module_section section[] = {
        {".text", 0xf8000000}, {".init.text", 0xf8010000}, {".data", 0xffffff00}};
    static const struct replay_module module = {
        "my_mod", 0, 0xf8000900, 0xf8000000, 0x1000, section, countof(section)};
    const struct replay_module_list list = {&module, 1};
    struct cli_names names;
    cli_names_init(&names);
    enum err err = cli_names_add_module(&names, &list, 0, bytes_of(data, size));
    check(!err || err == ERR_limit || err == ERR_nomem);
    for (uint32_t i = 0; !err && i < countof(section); i++) {
        for (uint32_t at = 0; at < 0x100; at += 0x10)
            check_name(&names, (uint64_t)section[i].address + at);
    }
    cli_names_free(&names);
    return 0;
}
