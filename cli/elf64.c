/* SPDX-License-Identifier: MIT */
#include "cli/elf64.h"

#include <elf.h>
#include <string.h>

static bool part_of(struct bytes elf, uint64_t offset, uint64_t size,
                    struct bytes *ret_part)
{
    if (offset > elf.size || size > elf.size - offset)
        return false;
    *ret_part = bytes_of(elf.data + offset, (size_t)size);
    return true;
}

static bool header_at(struct bytes elf, const Elf64_Ehdr *file, uint32_t index,
                      Elf64_Shdr *ret_header)
{
    struct bytes bytes;
    if (file->e_shoff > elf.size ||
        !part_of(elf, file->e_shoff + (uint64_t)index * sizeof *ret_header,
                 sizeof *ret_header, &bytes))
        return false;
    memcpy(ret_header, bytes.data, sizeof *ret_header);
    return true;
}

static bool has_name(struct bytes names, uint32_t at, const char *name)
{
    size_t size = strlen(name) + 1;
    return at < names.size && size <= names.size - at &&
           memcmp(names.data + at, name, size) == 0;
}

enum err cli_elf64_section(struct bytes elf, const char *name,
                           struct bytes *ret_section)
{
    static const uint8_t magic[] = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB};
    Elf64_Ehdr file;
    Elf64_Shdr header;
    struct bytes names, section;
    if (elf.size < sizeof file || memcmp(elf.data, magic, sizeof magic) != 0)
        return ERR_usage;
    memcpy(&file, elf.data, sizeof file);
    if (!header_at(elf, &file, file.e_shstrndx, &header) ||
        !part_of(elf, header.sh_offset, header.sh_size, &names))
        return ERR_usage;
    for (uint32_t i = 1; i < file.e_shnum; i++) {
        if (!header_at(elf, &file, i, &header))
            return ERR_usage;
        if (!has_name(names, header.sh_name, name))
            continue;
        if (!part_of(elf, header.sh_offset, header.sh_size, &section))
            return ERR_usage;
        *ret_section = section;
        return ERR_ok;
    }
    return ERR_not_found;
}
