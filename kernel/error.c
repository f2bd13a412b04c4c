/* SPDX-License-Identifier: MIT
 *
 * Names and codes of errors and statuses, out of their tables.
 */
#include "kernel/kernel.h"

const char *kernel_error_name(enum kernel_error error)
{
    switch (error) {
#define KERROR(number, name, code)                                                     \
    case KERNEL_ERROR_##name:                                                          \
        return #name;
#include "kernel/errors.def"
    }
    return "?";
}

uint32_t kernel_error_code(enum kernel_error error)
{
    switch (error) {
#define KERROR(number, name, code)                                                     \
    case KERNEL_ERROR_##name:                                                          \
        return code;
#include "kernel/errors.def"
    }
    return 99;
}

const char *kernel_status_name(enum kernel_status status)
{
    switch (status) {
#define KSTATUS(number, name)                                                          \
    case KERNEL_STATUS_##name:                                                         \
        return #name;
#include "kernel/statuses.def"
    }
    return "?";
}
