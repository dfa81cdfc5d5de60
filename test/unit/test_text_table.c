/* test_text_table: what would break: a column narrower than its cells where there is room; a line wider than the
 * terminal; a word lost where a cell is broken; a column left out in silence; a control that reaches the terminal;
 * widths counted in bytes. */
#include <stdlib.h>
#include <string.h>

#include "../test.h"
#include "base/mem.h"
#include "base/term.h"
#include "cmd/text_table.h"

static void write_in(struct table *t, const char *columns, const char *indent, struct buf *out)
{
	if (columns)
		setenv("COLUMNS", columns, 1);
	else
		unsetenv("COLUMNS");
	buf_clear(out);
	table_write(out, t, indent);
	unsetenv("COLUMNS");
}

static void check_text(struct test *t, const struct buf *out, const char *wanted)
{
	CHECK_MSG(t, !strcmp(buf_str(out), wanted), "\n%s", buf_str(out));
}

/* The widest line. */
static size_t width_of(const struct buf *out)
{
	size_t most = 0;

	for (const char *at = buf_str(out), *end; *at; at = end + (*end == '\n')) {
		end = strchrnul(at, '\n');
		most = MAX(most, term_columns(at, (size_t)(end - at)));
	}
	return most;
}

static void test_room(struct test *t)
{
	struct table x = { .columns = 3, .right = 2 };
	struct buf out = BUF_INIT;

	test_case(t, "with room for all: as wide as the widest cell, by what a terminal shows, no blanks at the end");
	table_cell(&x, "name");
	table_cell(&x, "n");
	table_cell(&x, "what");
	table_cell(&x, "%s", "漢字");
	table_cell(&x, "%d", 12345);
	table_cell(&x, "é");
	table_cell(&x, "b");
	table_cell(&x, "1");
	table_cell(&x, "%s", "");
	write_in(&x, NULL, "  ", &out);
	check_text(t, &out, "  name      n  what\n  漢字  12345  é\n  b         1\n");
	write_in(&x, "80", "", &out);
	check_text(t, &out, "name      n  what\n漢字  12345  é\nb         1\n");
	table_release(&x);
	buf_release(&out);
}

static void test_narrow(struct test *t)
{
	struct table x = { .columns = 2 };
	struct buf out = BUF_INIT;

	test_case(t, "narrower: the widest column is broken at its spaces, and every word is there");
	table_cell(&x, "run");
	table_cell(&x, "arguments");
	table_cell(&x, "a1");
	table_cell(&x, "tune model.gguf --data train.jsonl --out run");
	write_in(&x, "30", "", &out);
	check_text(t, &out, "run  arguments\na1   tune model.gguf --data\n     train.jsonl --out run\n");
	test_case(t, "narrower than a word: it is broken, and no line is wider");
	write_in(&x, "20", "", &out);
	CHECK_MSG(t, width_of(&out) <= 20, "%zu", width_of(&out));
	table_release(&x);
	table_cell(&x, "a");
	table_cell(&x, "b");
	table_cell(&x, "x");
	table_cell(&x, "%s", "abcdefghijklmnopqrstuvwxyz0123456789");
	write_in(&x, "20", "", &out);
	check_text(t, &out, "a  b\nx  abcdefghijklmnopq\n   rstuvwxyz01234567\n   89\n");
	table_release(&x);
	buf_release(&out);
}

static void test_drop(struct test *t)
{
	static const int drop[] = { 2, 1, -1 };
	struct table x = { .columns = 3, .drop = drop };
	struct buf out = BUF_INIT;

	test_case(t, "columns that may be left out are, in their order and no more than needed, and named");
	for (const char *const *c = (const char *const[]){ "first", "second", "third", "aaaaaaaaaa", "bbbbbbbbbb",
	                                                    "cccccccccc", NULL };
	     *c; c++)
		table_cell(&x, "%s", *c);
	write_in(&x, "34", "", &out);
	check_text(t, &out, "first       second      third\naaaaaaaaaa  bbbbbbbbbb  cccccccccc\n");
	write_in(&x, "25", "", &out);
	check_text(t, &out,
	           "first       second\naaaaaaaaaa  bbbbbbbbbb\n(left out here: third; --json has all)\n");
	table_release(&x);
	buf_release(&out);
}

static void test_controls(struct test *t)
{
	struct table x = { .columns = 1 };
	struct buf out = BUF_INIT;

	test_case(t, "controls of a cell do not reach the terminal");
	table_cell(&x, "%s", "a\033[31mb\nc");
	write_in(&x, NULL, "", &out);
	CHECK_MSG(t, !strchr(buf_str(&out), '\033') && strchr(buf_str(&out), '\n') == buf_str(&out) + out.len - 1, "%s",
	          buf_str(&out));
	table_release(&x);
	buf_release(&out);
}

void test_text_table(struct test *t)
{
	test_room(t);
	test_narrow(t);
	test_drop(t);
	test_controls(t);
}
