/* What would break: text of a model, a file or a name that speaks to the terminal, or that is changed on its way into a
 * file. */
#include "../test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "base/term.h"

enum { END = 4 };          /* behind a text: a terminal may give it in pieces */

/* What a terminal gets of a text; false where there are no pseudo-terminals. */
static bool on_terminal(const char *text, size_t n, bool styles, char *got, size_t room)
{
	struct termios raw;
	size_t at = 0;
	int master = posix_openpt(O_RDWR | O_NOCTTY);
	if (master < 0 || grantpt(master) || unlockpt(master))
		return false;
	int slave = open(ptsname(master), O_RDWR | O_NOCTTY);
	FILE *to = fdopen(slave, "w");
	tcgetattr(slave, &raw);
	cfmakeraw(&raw);
	tcsetattr(slave, TCSANOW, &raw);
	term_write(to, text, n, styles);
	fputc(END, to);
	fflush(to);
	for (bool ended = false; !ended && at < room - 1;) {
		ssize_t came = read(master, got + at, room - 1 - at);
		at += came > 0 ? (size_t)came : 0;
		ended = came <= 0 || got[at - 1] == END;
	}
	got[at && got[at - 1] == END ? at - 1 : at] = 0;
	fclose(to);
	close(master);
	return true;
}

static void check_shown(struct test *t, const char *text, size_t n, bool styles, const char *want)
{
	char got[256];

	if (on_terminal(text, n, styles, got, sizeof(got)))
		CHECK_MSG(t, !strcmp(got, want), "'%s', '%s' was wanted", got, want);
}

void test_base_term(struct test *t)
{
	char got[64];
	FILE *file = tmpfile();

	test_case(t, "on a terminal controls are pictures");
	check_shown(t, "a\033]0;title\007b", 12, false, "a␛]0;title␇b");
	check_shown(t, "one\n\ttwo\r", 9, false, "one\n\ttwo␍");
	check_shown(t, "x\0y", 3, false, "x␀y");
	check_shown(t, "\x9b" "31m \xc2\x9b \xff", 9, false, "\uFFFD31m \uFFFD \uFFFD");
	test_case(t, "styles of our own lines go through, nothing else that begins alike");
	check_shown(t, "\033[1;31mred\033[0m", 14, true, "\033[1;31mred\033[0m");
	check_shown(t, "\033[31mred", 8, false, "␛[31mred");
	check_shown(t, "\033[2J\033[", 6, true, "␛[2J␛[");

	test_case(t, "a file gets every byte");
	CHECK(t, term_write(file, "a\033[2J\0b\xff", 8, false) == 0);
	rewind(file);
	CHECK(t, fread(got, 1, sizeof(got), file) == 8 && !memcmp(got, "a\033[2J\0b\xff", 8));
	fclose(file);
}
