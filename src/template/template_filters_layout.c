/* template_filters_layout: Jinja's filters that break lines: wordwrap, as Python's textwrap does, and pprint, as its
 * pprint does at 80 columns. */
#include "template/template_filters.h"

#include <string.h>

#include "base/mem.h"
#include "base/unicode.h"
#include "base/utf8.h"

/* --- wordwrap --- */

/* A line by characters: code points, and where each begins. */
struct line {
	const char *s;
	size_t n;
	uint32_t *c;
	size_t *at;                    /* n + 1 */
};

static struct line line_of(struct run_state *r, struct value text)
{
	struct line l = { .s = text.str.s };

	l.c = arena_array(&r->mem, text.str.n + 1, sizeof(*l.c));
	l.at = arena_array(&r->mem, text.str.n + 1, sizeof(*l.at));
	for (size_t at = 0; at < text.str.n; l.n++) {
		l.at[l.n] = at;
		at += MAX(utf8_decode(l.s + at, text.str.n - at, &l.c[l.n]), (size_t)1);
	}
	l.at[l.n] = text.str.n;
	return l;
}

static bool is_gap(uint32_t c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
static bool is_word(uint32_t c) { return c == '_' || unicode_is_alnum(c); }
static bool is_letter(uint32_t c) { return is_word(c) && !unicode_is_decimal(c); }
static bool before_dash(uint32_t c) { return is_word(c) || (c && c < 128 && strchr("!\"'&.,?", (char)c)); }

/* Characters of the dashes at i, of which there are two or more after a word and before one; 0: of none. */
static size_t long_dash(const struct line *l, size_t i)
{
	size_t end = i;

	while (end < l->n && l->c[end] == '-')
		end++;
	return i && before_dash(l->c[i - 1]) && end - i >= 2 && end < l->n && is_word(l->c[end]) ? end - i : 0;
}

/* Is the character a hyphen between letters, two before it (of which a hyphen may part one) and two behind it? */
static bool is_hyphen(const struct line *l, size_t i)
{
	const uint32_t *c = l->c;

	if (c[i] != '-' || i < 2 || !is_letter(c[i - 1]) || i + 2 >= l->n || !is_letter(c[i + 1]))
		return false;
	bool two = is_letter(c[i - 2]) || (i >= 3 && c[i - 2] == '-' && is_letter(c[i - 3]));
	return two && (is_letter(c[i + 2]) || (c[i + 2] == '-' && i + 3 < l->n && is_letter(c[i + 3])));
}

/* Characters of the piece at i: white space, dashes, or what a line is not broken within. */
static size_t piece_at(const struct line *l, size_t i, bool hyphens)
{
	size_t end = i;

	while (end < l->n && is_gap(l->c[end]))
		end++;
	if (end > i)
		return end - i;
	if (hyphens && (end = long_dash(l, i)))
		return end;
	for (end = i + 1; end < l->n && !is_gap(l->c[end]); end++) {
		if (hyphens && is_hyphen(l, end))
			return end + 1 - i;
		if (hyphens && long_dash(l, end))
			break;
	}
	return end - i;
}

struct wrap {
	struct buf out;
	const struct line *l;
	size_t width;
	bool long_words, hyphens;
	struct value by;
	bool any;                      /* a line of this text was written */
	size_t from, to;               /* of the piece that is to be placed */
};

static bool is_blank(const struct line *l, size_t from, size_t to)
{
	while (from < to && unicode_is_space(l->c[from]))
		from++;
	return from == to;
}

/* The next piece, where the last is placed. */
static bool next_piece(struct wrap *w)
{
	if (w->from == w->to && w->to < w->l->n)
		w->to = w->from + piece_at(w->l, w->from, w->hyphens);
	return w->from < w->to;
}

/* How much of a piece that is longer than a line goes into what is left of this one. */
static size_t part_of(const struct wrap *w, size_t left)
{
	size_t hyphen = left;
	bool other = false;

	while (w->hyphens && hyphen > 0 && w->l->c[w->from + hyphen - 1] != '-')
		hyphen--;
	for (size_t i = 0; w->hyphens && i + 1 < hyphen; i++)
		other |= w->l->c[w->from + i] != '-';
	return other ? hyphen : left;
}

/* One line: pieces while they fit; without white space at its end, nor at its beginning if it is not the first. */
static void wrap_line(struct wrap *w)
{
	size_t begin, end, last; /* last: where the last piece of it begins */

	if (w->any && is_blank(w->l, w->from, w->to))
		w->from = w->to;
	next_piece(w);
	begin = end = last = w->from;
	while (next_piece(w) && w->to - begin <= w->width) {
		last = w->from;
		end = w->from = w->to;
	}
	if (next_piece(w) && w->to - w->from > w->width && (w->long_words || end == begin)) {
		size_t left = w->width - (end - begin);
		last = end;
		end += w->long_words ? part_of(w, left) : w->to - w->from;
		w->from = end;
	}
	if (is_blank(w->l, last, end))
		end = last;
	if (end == begin)
		return;
	if (w->any)
		buf_add(&w->out, w->by.str.s, w->by.str.n);
	buf_add(&w->out, w->l->s + w->l->at[begin], w->l->at[end] - w->l->at[begin]);
	w->any = true;
}

static struct value f_wordwrap(const struct call *c)
{
	int64_t width = filter_whole(call_arg(c, 0, "width", v_int(79)));
	struct value by = call_arg(c, 2, "wrapstring", NONE), lines;
	struct wrap w = { .out = RUN_TEXT(c->r), .width = (size_t)MAX(width, (int64_t)0),
		          .long_words = v_true(call_arg(c, 1, "break_long_words", v_bool(true))),
		          .hyphens = v_true(call_arg(c, 3, "break_on_hyphens", v_bool(true))),
		          .by = by.type == V_NONE ? v_text("\n") : by };

	if (c->self.type != V_STRING)
		return run_fail(c->r, "wordwrap: a text was wanted, not %s", v_type_name(c->self));
	lines = filter_method(&(struct call){ .r = c->r, .self = c->self }, "splitlines");
	for (size_t i = 0; i < lines.list->n && !c->r->failed; i++) {
		struct line l = line_of(c->r, lines.list->items[i]);
		if (width <= 0)
			return run_fail(c->r, "wordwrap: lines of %lld characters", (long long)width);
		w.l = &l;
		w.from = w.to = 0;
		w.any = false;
		if (i)
			buf_add(&w.out, w.by.str.s, w.by.str.n);
		while (next_piece(&w) && run_steps(c->r, 1 + MIN(w.width, l.n) / 64))
			wrap_line(&w);
	}
	return run_take(c->r, &w.out);
}

/* --- pprint --- */

enum { COLUMNS = 80 };

struct pretty { const struct call *c; struct buf *out; };

static struct value repr_of(const struct call *c, struct value v)
{
	struct buf text = RUN_TEXT(c->r);

	if (v_opaque(v))
		return run_fail(c->r, "%s is not printed here", v_type_name(v)), v_text("");
	v_repr(&text, v);
	return run_take(c->r, &text);
}

static void pretty_value(const struct pretty *p, struct value v, size_t indent, size_t allowance, int level);

static void new_line(const struct pretty *p, const char *before, size_t indent)
{
	buf_addf(p->out, "%s\n%*s", before, (int)indent, "");
}

static void pretty_items(const struct pretty *p, const struct vlist *l, const char *brackets[2], size_t indent,
                         size_t allowance, int level)
{
	allowance += strlen(brackets[1]);
	buf_adds(p->out, brackets[0]);
	for (size_t i = 0; i < l->n && !p->c->r->failed; i++) {
		if (i)
			new_line(p, ",", indent + 1);
		pretty_value(p, l->items[i], indent + 1, i + 1 == l->n ? allowance : 1, level);
	}
	buf_adds(p->out, brackets[1]);
}

static void pretty_dict(const struct pretty *p, const struct vdict *d, size_t indent, size_t allowance, int level)
{
	buf_addc(p->out, '{');
	for (size_t i = 0; i < d->n && !p->c->r->failed; i++) {
		struct value key = repr_of(p->c, d->keys[i]);
		if (i)
			new_line(p, ",", indent + 1);
		buf_add(p->out, key.str.s, key.str.n);
		buf_adds(p->out, ": ");
		pretty_value(p, d->values[i], indent + 1 + v_chars(key) + 2, i + 1 == d->n ? allowance + 1 : 1, level);
	}
	buf_addc(p->out, '}');
}

/* Bytes of a word with the white space behind it. */
static size_t part_length(const char *s, size_t n)
{
	bool space = false;
	uint32_t ch = 0;
	size_t at = 0;

	for (size_t length; at < n; at += length) {
		length = MAX(utf8_decode(s + at, n - at, &ch), (size_t)1);
		if (space && !unicode_is_space(ch))
			break;
		space = unicode_is_space(ch);
	}
	return at;
}

/* A text's line that is too long, cut before words; its pieces go behind those that there are. */
static void cut_line(const struct pretty *p, struct value line, int64_t room, int64_t last_room, struct value pieces)
{
	struct arena *a = &p->c->r->mem;
	size_t from = 0;

	for (size_t at = 0, n; at < line.str.n && run_steps(p->c->r, 1); at += n) {
		n = part_length(line.str.s + at, line.str.n - at);
		struct value so_far = repr_of(p->c, v_string(a, line.str.s + from, at + n - from));
		if ((int64_t)v_chars(so_far) <= (at + n == line.str.n ? last_room : room))
			continue;
		if (at > from)
			v_push(a, pieces, repr_of(p->c, v_string(a, line.str.s + from, at - from)));
		from = at;
	}
	if (from < line.str.n)
		v_push(a, pieces, repr_of(p->c, v_string(a, line.str.s + from, line.str.n - from)));
}

/* As texts that the language puts together, one a line. */
static void pretty_text(const struct pretty *p, struct value v, size_t indent, size_t allowance, int level)
{
	struct value lines = filter_method(&(struct call){ .r = p->c->r, .self = v, .n = 1,
	                                                   .args = (struct value[]){ v_bool(true) } }, "splitlines"),
		     pieces = v_list(&p->c->r->mem, V_LIST, lines.list->n);
	bool outermost = level == 1;

	indent += outermost;
	allowance += outermost;
	int64_t room = COLUMNS - (int64_t)indent;
	for (size_t i = 0; i < lines.list->n; i++) {
		int64_t last_room = i + 1 == lines.list->n ? room - (int64_t)allowance : room;
		struct value shown = repr_of(p->c, lines.list->items[i]);
		if ((int64_t)v_chars(shown) <= last_room)
			v_push(&p->c->r->mem, pieces, shown);
		else
			cut_line(p, lines.list->items[i], room, last_room, pieces);
	}
	bool brackets = outermost && pieces.list->n > 1;
	buf_adds(p->out, brackets ? "(" : "");
	for (size_t i = 0; i < pieces.list->n; i++) {
		if (i)
			new_line(p, "", indent);
		buf_add(p->out, pieces.list->items[i].str.s, pieces.list->items[i].str.n);
	}
	buf_adds(p->out, brackets ? ")" : "");
}

static void pretty_value(const struct pretty *p, struct value v, size_t indent, size_t allowance, int level)
{
	struct value shown = repr_of(p->c, v);
	bool fits = v_chars(shown) + indent + allowance <= COLUMNS;

	if (!run_steps(p->c->r, 1))
		return;
	if (!fits && v.type == V_DICT)
		pretty_dict(p, v.dict, indent, allowance, level + 1);
	else if (!fits && v_is_plain(v) && v.type == V_LIST)
		pretty_items(p, v.list, (const char *[]){ "[", "]" }, indent, allowance, level + 1);
	else if (!fits && v.type == V_TUPLE)
		pretty_items(p, v.list, (const char *[]){ "(", v.list->n == 1 ? ",)" : ")" }, indent, allowance,
		             level + 1);
	else if (!fits && v.type == V_STRING && !v.safe && v.str.n)
		pretty_text(p, v, indent, allowance, level + 1);
	else
		buf_add(p->out, shown.str.s, shown.str.n);
}

/* repr(), keys in order, broken where it would be wider than 80 columns. */
static struct value f_pprint(const struct call *c)
{
	struct buf out = RUN_TEXT(c->r);

	pretty_value(&(struct pretty){ c, &out }, filter_sorted(c, c->self, true), 0, 0, 0);
	return run_take(c->r, &out);
}

const struct function filters_of_layout[] = {
	{ "wordwrap", f_wordwrap, "width:i? break_long_words:a? wrapstring:sn? break_on_hyphens:a?" },
	{ "pprint", f_pprint, NULL },
	{ 0 },
};
