/* opt_help: a table of options as --help prints it, 80 columns wide, and the nearest name to a mistyped one.
 *
 * The name stands in a left column, the help beside it, wrapped; a name too long for its column gets its own line. */
#include "base/opt.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/utf8.h"

enum { COLUMNS = 80, LEFT = 28, SHORT_CHOICES = 30, WORD_MAX = 63 };
#define GLUE '\x1f' /* a space at which no line is broken */

/* --- --help --- */

static void add_name(struct buf *b, const char *name, const char *before)
{
	buf_addf(b, "%s%s%s", before, name[1] ? "--" : "-", name);
}

/* "  -p, --prompt TEXT" */
static void left_column(struct buf *b, const struct opt *o)
{
	bool letter = o->alias && !o->alias[1];
	buf_adds(b, "  ");
	if (letter)
		add_name(b, o->alias, "");
	add_name(b, o->name, letter ? ", " : "");
	if (o->alias && !letter)
		add_name(b, o->alias, ", ");
	if (o->type == OPT_TYPE_CHOICE && !o->arg && strlen(o->choices) <= SHORT_CHOICES)
		buf_addf(b, " %s", o->choices);
	else if (o->type != OPT_TYPE_FLAG)
		buf_addf(b, " %s", o->arg ? o->arg : o->type == OPT_TYPE_CHOICE ? "NAME" : "VALUE");
}

static void right_column(struct buf *b, const struct opt *o)
{
	buf_adds(b, o->help);
	if (o->type == OPT_TYPE_CHOICE && !o->rows && (o->arg || strlen(o->choices) > SHORT_CHOICES)) {
		buf_adds(b, ": ");
		for (const char *c = o->choices; *c; c++)
			buf_adds(b, *c == '|' ? ", " : (char[2]){ *c, 0 });
	}
	if (o->type == OPT_TYPE_LIST)
		buf_adds(b, " (may be repeated)");
	if (!o->init)
		return;
	if (o->type != OPT_TYPE_FLAG)
		buf_addf(b, " (default:%c%s)", GLUE, o->init);
	else if (strcmp(o->init, "true") == 0)
		buf_addf(b, " (default; --no-%s turns it off)", o->name);
}

/* Bytes of text that fit into `columns`, cut at a space where there is one. */
static size_t fitting(const char *text, size_t columns)
{
	size_t n = strlen(text), at = 0, cut = 0;
	for (uint32_t cp; at < n && columns > 0; columns--) {
		if (text[at] == ' ')
			cut = at;
		size_t size = utf8_decode(text + at, n - at, &cp);
		at += size ? size : 1;
	}
	return at == n || text[at] == ' ' || cut == 0 ? at : cut;
}

static void print_row(const struct opt *o, void (*print)(void *ctx, const char *line), void *ctx)
{
	struct buf left = BUF_INIT, right = BUF_INIT, line = BUF_INIT;
	left_column(&left, o);
	right_column(&right, o);
	const char *text = buf_str(&right);
	if (left.len + 2 > LEFT) {
		print(ctx, buf_str(&left));
		buf_clear(&left);
	}
	do {
		size_t n = fitting(text, COLUMNS - LEFT);
		buf_clear(&line);
		buf_addf(&line, "%-*s%.*s", LEFT, buf_str(&left), (int)n, text);
		for (char *glue; (glue = strchr(line.data, GLUE));)
			*glue = ' ';
		print(ctx, line.data);
		buf_clear(&left);
		text += n;
		text += strspn(text, " ");
	} while (*text);
	buf_release(&left);
	buf_release(&right);
	buf_release(&line);
}

/* "Memory:" at the left, wrapped. */
static void print_title(const struct opt *o, void (*print)(void *ctx, const char *line), void *ctx)
{
	struct buf line = BUF_INIT;
	for (const char *text = o->name; *text;) {
		size_t n = fitting(text, COLUMNS - 1);
		const char *next = text + n + strspn(text + n, " ");
		buf_clear(&line);
		buf_addf(&line, "%.*s%s", (int)n, text, *next ? "" : ":");
		print(ctx, line.data);
		text = next;
	}
	buf_release(&line);
}

void opt_help(const struct opt *declared, void (*print)(void *ctx, const char *line), void *ctx)
{
	struct opt_table t;
	opt_join(&t, declared);
	for (const struct opt *o = t.rows; o->type != OPT_TYPE_END; o++) {
		if (o->type != OPT_TYPE_GROUP) {
			print_row(o, print, ctx);
			continue;
		}
		if (o != t.rows)
			print(ctx, "");
		print_title(o, print, ctx);
	}
	opt_join_release(&t);
}

/* --- the nearest word --- */

static char plain(char c) { return c == '_' ? '-' : c; }

/* Edits between a and b: insert, delete, replace, swap neighbours (optimal string alignment). */
static size_t distance(const char *a, const char *b)
{
	size_t rows[3][WORD_MAX + 1], na = strlen(a), nb = strlen(b);
	size_t *before = rows[0], *last = rows[1], *now = rows[2];
	if (na > WORD_MAX || nb > WORD_MAX)
		return WORD_MAX;
	for (size_t j = 0; j <= nb; j++)
		last[j] = j;
	for (size_t i = 1; i <= na; i++) {
		now[0] = i;
		for (size_t j = 1; j <= nb; j++) {
			size_t replace = last[j - 1] + (plain(a[i - 1]) != plain(b[j - 1]));
			now[j] = MIN(replace, MIN(last[j], now[j - 1]) + 1);
			if (i > 1 && j > 1 && plain(a[i - 1]) == plain(b[j - 2]) && plain(a[i - 2]) == plain(b[j - 1]))
				now[j] = MIN(now[j], before[j - 2] + 1);
		}
		size_t *spare = before;
		before = last;
		last = now;
		now = spare;
	}
	return last[nb];
}

/* Is the word a whole part of the candidate, as "alpha" of "lora-alpha"? Short ones ("r") say too little. */
static bool is_part(const char *word, const char *candidate)
{
	size_t n = strlen(word);
	for (const char *at = n >= 4 ? strstr(candidate, word) : NULL; at; at = strstr(at + 1, word))
		if ((at == candidate || at[-1] == '-') && (at[n] == 0 || at[n] == '-'))
			return true;
	return false;
}

const char *opt_nearest(const char *word, const char *const *words, size_t n)
{
	const char *best = NULL;
	size_t limit = strlen(word) > 3 ? MIN(strlen(word) / 3, (size_t)4) : 1, least = limit + 1;
	for (size_t i = 0; i < n; i++) {
		size_t d = distance(word, words[i]);
		if (is_part(word, words[i]))
			d = MIN(d, limit);
		if (d < least && d < MAX(strlen(word), strlen(words[i]))) {
			least = d;
			best = words[i];
		}
	}
	return best;
}
