/* SPDX-License-Identifier: MIT
 *
 * guess - think of a number from 1 to 100; the program does, and you guess.
 *
 * The number is the host's randomness, the guesses are lines from stdin, and the time
 * it took is the clock: a game that cannot be repeated, unless it was recorded.
 */
#include "host.h"

enum { NUMBER_MAX = 100, LINE_MAX = 80 };

static struct host_in in = {.fd = HOST_STDIN};
static struct host_out out = {.fd = HOST_STDOUT};

static void say(const char *text)
{
    host_put_text(&out, text);
    host_flush(&out);
}

/* Every number is as likely as any other: values above the last full 100 are drawn
 * again. */
static uint64_t draw(void)
{
    uint8_t byte;
    do {
        if (host_random(&byte, 1) != 1) {
            host_complain("guess", NULL, "no randomness");
            host_exit(1);
        }
    } while (byte >= 2 * NUMBER_MAX);
    return byte % NUMBER_MAX + 1;
}

/* The next number, or 0 at the end of the input. */
static uint64_t ask(void)
{
    char line[LINE_MAX + 1];
    for (;;) {
        bool cut;
        uint64_t value;
        say("your guess: ");
        int64_t size = host_get_line(&in, line, LINE_MAX, &cut);
        if (size < 0)
            return 0;
        line[size] = 0;
        if (!cut && host_parse_u64(line, NUMBER_MAX, &value) && value > 0)
            return value;
        say("a number from 1 to 100, please\n");
    }
}

static void congratulate(uint64_t guesses, uint64_t ns)
{
    host_put_text(&out, "right, after ");
    host_put_u64(&out, guesses);
    host_put_text(&out, guesses == 1 ? " guess and " : " guesses and ");
    host_put_u64(&out, ns / 1000000000);
    host_put_byte(&out, '.');
    host_put_u64(&out, ns / 100000000 % 10);
    say(" seconds\n");
}

uint64_t main_(void)
{
    uint64_t number = draw(), start_ns = host_clock(HOST_CLOCK_RUN);
    say("I think of a number from 1 to 100.\n");
    for (uint64_t guesses = 1;; guesses++) {
        uint64_t guess = ask();
        if (guess == 0) {
            say("\nyou gave up\n");
            host_exit(1);
        }
        if (guess == number) {
            congratulate(guesses, host_clock(HOST_CLOCK_RUN) - start_ns);
            return 0;
        }
        say(guess < number ? "more\n" : "less\n");
    }
}

PVM_EXPORT(0, main_);
