/* text_table: cells are kept until all are there; widths are those of a terminal, not bytes.
 *
 * Where the columns are wider than the terminal, the widest are made narrower, down to their longest word, and their
 * cells broken at spaces into lines below each other. Where that is not enough, columns that may be left out are, in
 * the order of `drop`, and a last line names them; at the very end words are broken. */
#include "cmd/text_table.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/env.h"
#include "base/mem.h"
#include "base/term.h"

enum { COLUMNS_MOST = 32, GAP = 2, LEAST = 6 };

struct layout {
	size_t width[COLUMNS_MOST], least[COLUMNS_MOST];
	bool left_out[COLUMNS_MOST];
	size_t room, indent;
};

void table_cell(struct table *t, const char *fmt, ...)
{
	char raw[1024];
	struct buf safe = BUF_INIT;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(raw, sizeof(raw), fmt, ap);
	va_end(ap);
	term_text(&safe, raw, strlen(raw));
	t->cells = mem_grow(t->cells, t->n + 1, sizeof(*t->cells));
	t->cells[t->n++] = mem_strdup(buf_str(&safe));
	buf_release(&safe);
}

/* --- the layout --- */

static size_t longest_word(const char *s)
{
	size_t longest = 0;

	while (*s) {
		size_t n = strcspn(s, " ");
		longest = MAX(longest, term_columns(s, n));
		s += n + (s[n] == ' ');
	}
	return longest;
}

static void measure(const struct table *t, struct layout *l)
{
	for (size_t i = 0; i < t->n; i++) {
		size_t c = i % t->columns;
		l->width[c] = MAX(l->width[c], term_columns(t->cells[i], strlen(t->cells[i])));
		l->least[c] = MAX(l->least[c], longest_word(t->cells[i]));
	}
}

static size_t sum(const struct table *t, const struct layout *l, const size_t *width)
{
	size_t all = l->indent, n = 0;

	for (size_t c = 0; c < t->columns; c++)
		if (!l->left_out[c]) {
			all += width[c];
			n++;
		}
	return all + (n ? GAP * (n - 1) : 0);
}

/* The widest that is above its floor; −1: none. */
static int widest(const struct table *t, const struct layout *l, bool break_words)
{
	int found = -1;

	for (size_t c = 0; c < t->columns; c++) {
		size_t floor = break_words ? MIN(l->least[c], (size_t)LEAST) : l->least[c];
		if (!l->left_out[c] && l->width[c] > floor && (found < 0 || l->width[c] > l->width[found]))
			found = (int)c;
	}
	return found;
}

static void narrow(const struct table *t, struct layout *l, bool break_words)
{
	int c;

	while (sum(t, l, l->width) > l->room && (c = widest(t, l, break_words)) >= 0)
		l->width[c]--;
}

static void fit(const struct table *t, struct layout *l)
{
	for (const int *d = t->drop; d && *d >= 0 && sum(t, l, l->least) > l->room; d++)
		l->left_out[*d] = true;
	narrow(t, l, false);
	narrow(t, l, true);
}

/* A terminal's, or what COLUMNS says where there is none; else there is room for everything. */
static size_t room(void)
{
	const char *said = env_get("COLUMNS");
	int columns = 0, rows;

	if (term_is(STDOUT_FILENO))
		term_size(STDOUT_FILENO, &columns, &rows);
	else if (said)
		columns = atoi(said);
	return columns > 0 ? (size_t)MAX(columns, 20) : SIZE_MAX;
}

/* --- writing --- */

/* Bytes of the next line of a cell, as many as fit; *skip: of the space after it. */
static size_t next_line(const char *s, size_t width, size_t *skip)
{
	size_t all = strlen(s), fits = term_fit(s, all, width), n = fits;

	*skip = 0;
	if (fits == all)
		return all;
	if (s[fits] != ' ')
		while (n > 0 && s[n - 1] != ' ')
			n--;
	if (n == 0)
		return MAX(fits, (size_t)1); /* a word that is broken */
	size_t end = n;
	while (end > 0 && s[end - 1] == ' ')
		end--;
	*skip = n - end;
	while (s[end + *skip] == ' ')
		(*skip)++;
	return end;
}

static void write_row(struct buf *out, const struct table *t, const struct layout *l, size_t row, const char *indent)
{
	const char *rest[COLUMNS_MOST];
	bool more = true;

	for (size_t c = 0; c < t->columns; c++)
		rest[c] = t->cells[row + c];
	while (more) {
		size_t begin = out->len, written = 0;
		more = false;
		buf_adds(out, indent);
		for (size_t c = 0; c < t->columns; c++) {
			size_t skip, n = next_line(rest[c], l->width[c], &skip);
			if (l->left_out[c])
				continue;
			int pad = (int)(l->width[c] - MIN(l->width[c], term_columns(rest[c], n)));
			buf_addf(out, "%*s%*s%.*s%*s", written++ ? GAP : 0, "", t->right >> c & 1 ? pad : 0, "",
			         (int)n, rest[c], t->right >> c & 1 ? 0 : pad, "");
			rest[c] += n + skip;
			more |= *rest[c] != 0;
		}
		while (out->len > begin && out->data[out->len - 1] == ' ')
			out->data[--out->len] = 0;
		buf_addc(out, '\n');
	}
}

static void name_left_out(struct buf *out, const struct table *t, const struct layout *l)
{
	size_t n = 0;

	for (size_t c = 0; c < t->columns; c++)
		if (l->left_out[c])
			buf_addf(out, "%s%s", n++ ? ", " : "(left out here: ", t->cells[c]);
	if (n)
		buf_adds(out, "; --json has all)\n");
}

void table_write(struct buf *out, const struct table *t, const char *indent)
{
	struct layout l = { .room = room(), .indent = strlen(indent) };

	if (t->columns > COLUMNS_MOST)
		BUG("a table of %zu columns", t->columns);
	measure(t, &l);
	if (sum(t, &l, l.width) > l.room)
		fit(t, &l);
	for (size_t row = 0; row + t->columns <= t->n; row += t->columns)
		write_row(out, t, &l, row, indent);
	name_left_out(out, t, &l);
}

void table_release(struct table *t)
{
	for (size_t i = 0; i < t->n; i++)
		mem_free(t->cells[i]);
	mem_free(t->cells);
	t->cells = NULL;
	t->n = 0;
}
