/* parser: one byte after another, by the state. raw[from..at) is held: it was looked at and not told yet. Where what
 * began as a call is none, its first byte is text and the rest is looked at again. */
#include "call/parser.h"

#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "call/pairs.h"

enum { NAME = 128 /* bytes of a name */, SPACES = 256 /* that are held before what may be a call */ };

enum state {
	START, /* nothing but white space yet: a thought, or a call that stands alone, may come */
	TEXT,
	THOUGHT, /* until its end */
	OPEN,    /* before a section's first arguments */
	CALL,    /* before further ones */
	ARGUMENTS,
	PAIRS,  /* arguments one by one */
	BEHIND, /* after them, within the call's text */
	NEXT,   /* after a call: a further one, the section's end, or text */
	CLOSE
};

struct call_parser {
	const struct call_form *form;
	struct call_events events;
	const json_t *kinds;
	struct pairs *pairs;      /* of the call that is read; of a form that has them */
	bool formatted, thoughts; /* thoughts: they are read */
	enum state state;
	struct buf raw;
	size_t from, at;
	struct buf out; /* text or thought that is to be told */
	const struct call_style *style;
	char **first, **further; /* [styles] open and call; between and call */
	char **head;             /* [styles] see call_style_head */
	const char *want;        /* what of these, or of `close`, comes next */
	char name[NAME + 1];
	size_t n_name, n_spaces; /* n_spaces: one after another, where a space is wanted */
	int depth;               /* of arguments' brackets */
	bool quoted, escaped;
};

static size_t n_styles(const struct call_form *f)
{
	size_t n = 0;

	while (f->styles[n].call)
		n++;
	return n;
}

struct call_parser *call_parser_new(const struct call_form *f, const struct call_answer *a,
                                    const struct call_events *events)
{
	struct call_parser *p = mem_alloc(sizeof(*p));
	size_t n = n_styles(f);

	*p = (struct call_parser){ .form = f, .events = *events, .kinds = a->kinds, .formatted = a->formatted };
	p->thoughts = f->thought && !(a->formatted && f->kept);
	p->state = a->thinks && p->thoughts ? THOUGHT : START;
	p->first = mem_array(n, sizeof(*p->first));
	p->further = mem_array(n, sizeof(*p->further));
	p->head = mem_array(n, sizeof(*p->head));
	for (size_t i = 0; i < n; i++) {
		const struct call_style *s = &f->styles[i];
		struct buf head = BUF_INIT;
		call_style_head(s, &head);
		p->first[i] = mem_printf("%s%s", s->open, s->call);
		p->further[i] = mem_printf("%s%s", s->between, s->call);
		p->head[i] = mem_strdup(buf_str(&head));
		buf_release(&head);
	}
	if (f->lead && !a->thinks)
		call_parser_add(p, f->lead, strlen(f->lead));
	return p;
}

void call_parser_free(struct call_parser *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < n_styles(p->form); i++) {
		mem_free(p->first[i]);
		mem_free(p->further[i]);
		mem_free(p->head[i]);
	}
	mem_free(p->first);
	mem_free(p->further);
	mem_free(p->head);
	pairs_free(p->pairs);
	buf_release(&p->raw);
	buf_release(&p->out);
	mem_free(p);
}

/* --- what is told --- */

static void flush(struct call_parser *p)
{
	bool thought = p->state == THOUGHT && !p->form->kept;
	void (*to)(void *, const char *, size_t) = thought ? p->events.thought : p->events.text;

	if (p->out.len && to)
		to(p->events.ctx, p->out.data, p->out.len);
	buf_clear(&p->out);
}

/* Another state, in which what comes is told otherwise. */
static void go(struct call_parser *p, enum state to)
{
	flush(p);
	p->state = to;
}

/* The first n bytes that are held are text, or of the thought; what follows is looked at again. */
static void say(struct call_parser *p, size_t n)
{
	if (n)
		buf_add(&p->out, p->raw.data + p->from, n);
	p->at = p->from += n;
}

/* The same where they are marks. */
static void pass_mark(struct call_parser *p, bool kept)
{
	if (kept)
		say(p, p->at - p->from);
	p->from = p->at;
}

/* What came of arguments that stand one by one. */
static void tell_pairs(struct call_parser *p)
{
	struct buf *json = pairs_json(p->pairs);

	if (json->len && p->events.arguments)
		p->events.arguments(p->events.ctx, json->data, json->len);
	buf_clear(json);
}

static void tell_arguments(struct call_parser *p)
{
	if (p->at > p->from && p->events.arguments)
		p->events.arguments(p->events.ctx, p->raw.data + p->from, p->at - p->from);
	p->from = p->at;
}

static void tell_end(struct call_parser *p, bool whole)
{
	if (p->events.end)
		p->events.end(p->events.ctx, whole);
}

/* --- marks --- */

static bool is_space(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }

enum found { NOTHING, PART, WHOLE };

/* Does text[n] begin with the mark, or the mark with it? */
static enum found is_mark(const char *text, size_t n, const char *mark)
{
	size_t m = strlen(mark);

	if (memcmp(text, mark, MIN(n, m)) != 0)
		return NOTHING;
	return n >= m ? WHOLE : PART;
}

/* The same, where a space of the head is white space, `most` at most, or none. */
static enum found is_head(const char *text, size_t n, const char *head, size_t most)
{
	size_t i = 0;

	for (; *head; head++) {
		size_t from = i;
		while (*head == ' ' && i < n && is_space(text[i]))
			i++;
		if (i - from > most)
			return NOTHING;
		if (*head == ' ')
			continue;
		if (i == n)
			return PART;
		if (text[i++] != *head)
			return NOTHING;
	}
	return WHOLE;
}

/* --- text --- */

/* Of white space in one place of a call. */
static size_t most_spaces(const struct call_parser *p, const struct call_style *s)
{
	return p->formatted || s->alone ? CALL_SPACES : SIZE_MAX;
}

/* spaces: white space before it. */
static enum found find_style(struct call_parser *p, const char *text, size_t n, size_t spaces)
{
	enum found best = NOTHING;

	for (size_t i = 0; p->form->styles[i].call; i++) {
		const struct call_style *s = &p->form->styles[i];
		size_t most = most_spaces(p, s);
		bool may = !s->alone || (p->state == START && spaces <= most);
		enum found how = !may     ? NOTHING :
		                 s->alone ? is_head(text, n, p->head[i], most) :
		                            is_mark(text, n, p->head[i]);
		if (how == WHOLE)
			p->style = s;
		best = MAX(best, how);
	}
	return best;
}

static enum found find_silent(const struct call_parser *p, const char *text, size_t n)
{
	enum found best = NOTHING;

	for (const char *const *s = p->form->silent; s && *s && best != WHOLE; s++)
		best = MAX(best, is_mark(text, n, *s));
	return best;
}

/* A call begins at `at`; what is held before it is white space, which is text only if it is none. */
static void begin_call(struct call_parser *p, size_t at)
{
	go(p, OPEN);
	p->at = at;
	p->want = p->first[p->style - p->form->styles];
	p->n_name = p->n_spaces = 0;
}

/* What is held is white space and maybe the beginning of something: is it, or may it be? */
static bool hold(struct call_parser *p)
{
	size_t begin = p->from;

	while (begin < p->at && is_space(p->raw.data[begin]))
		begin++;
	const char *text = p->raw.data + begin;
	size_t n = p->at - begin, most = p->formatted ? CALL_SPACES : SPACES;
	if (!n || begin - p->from > most)
		return begin - p->from <= most;
	bool thinks = p->thoughts && (p->state == START || !p->form->kept);
	enum found thought = thinks ? is_mark(text, n, p->form->thought) : NOTHING, silent = find_silent(p, text, n),
		   style = find_style(p, text, n, begin - p->from);
	if (silent == WHOLE) {
		p->from = p->at;
	} else if (thought == WHOLE) {
		pass_mark(p, p->form->kept);
		go(p, THOUGHT);
	} else if (style == WHOLE && silent == NOTHING) {
		begin_call(p, begin);
	}
	return thought != NOTHING || silent != NOTHING || style != NOTHING;
}

static void step_text(struct call_parser *p)
{
	p->at++;
	if (!(p->formatted && p->state == TEXT) && hold(p))
		return;
	p->state = TEXT;
	say(p, 1);
}

static void step_thought(struct call_parser *p)
{
	p->at++;
	enum found how = is_mark(p->raw.data + p->from, p->at - p->from, p->form->thought_end);
	if (how == NOTHING)
		say(p, 1);
	if (how != WHOLE)
		return;
	pass_mark(p, p->form->kept);
	go(p, START);
}

/* --- calls --- */

static bool is_name(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c && strchr("_-.", c));
}

/* The byte as it is wanted; false: it is not. What wants no byte is passed. */
static bool take(struct call_parser *p, char c)
{
	for (;; p->want += *p->want == ' ' ? 1 : 2) {
		if (*p->want == ' ') {
			if (is_space(c))
				return p->n_spaces++ < most_spaces(p, p->style);
			p->n_spaces = 0;
		} else if (*p->want != '%') {
			if (!*p->want || c != *p->want)
				return false;
			p->want++;
			return true;
		} else if (p->want[1] == '_') {
			p->want += 2;
			return c == ' ';
		} else if (p->want[1] == 'a') {
			return c == '{' && p->n_name;
		} else if (p->want[1] == 'n') {
			if (is_name(c) && p->n_name < NAME)
				p->name[p->n_name++] = c;
			if (is_name(c))
				return p->n_name < NAME;
		} else if (c >= '0' && c <= '9') {
			return true;
		}
	}
}

static bool nothing_wanted(const struct call_parser *p) { return !p->want[strspn(p->want, " ")]; }

static void begin_arguments(struct call_parser *p)
{
	p->want += strlen("%a");
	p->state = p->form->pairs ? PAIRS : ARGUMENTS;
	p->from = p->at;
	p->depth = 0;
	p->quoted = p->escaped = false;
	if (p->events.call)
		p->events.call(p->events.ctx, p->name);
	if (p->form->pairs)
		p->pairs = pairs_new(p->form->pairs, json_object_get(p->kinds, p->name), p->want);
}

/* One byte of a JSON object, of which brackets and quotes are all that counts. */
static void step_arguments(struct call_parser *p)
{
	char c = p->raw.data[p->at++];

	if (p->escaped) {
		p->escaped = false;
	} else if (p->quoted) {
		p->escaped = c == '\\';
		p->quoted = c != '"';
	} else {
		p->quoted = c == '"';
		p->depth += (c == '{' || c == '[') - (c == '}' || c == ']');
	}
	if (p->depth || p->quoted)
		return;
	tell_arguments(p);
	tell_end(p, true);
	p->state = nothing_wanted(p) ? NEXT : BEHIND;
}

/* It is no call: a further one may be the section's end instead; else it is text from its first byte on, or something
 * else that begins there. */
static void give_up(struct call_parser *p)
{
	bool first = p->state == OPEN, closes = p->state == CALL && *p->style->close;

	p->state = closes ? CLOSE : TEXT;
	p->want = p->style->close;
	p->at = p->from;
	if (first)
		say(p, 1);
}

static bool is_known(struct call_parser *p)
{
	p->name[p->n_name] = 0;
	return !p->kinds || json_object_get(p->kinds, p->name);
}

/* Do arguments begin with this byte? */
static bool begins_arguments(struct call_parser *p, char c)
{
	if (!p->form->pairs)
		return *p->want == '%' && p->want[1] == 'a' && c == '{';
	if (*p->want == '%' && p->want[1] == 'n' && p->n_name && !is_name(c))
		p->want += strlen("%n");
	return *p->want == '%' && p->want[1] == 'a' && p->n_name;
}

static void step_call(struct call_parser *p)
{
	char c = p->raw.data[p->at];
	bool begins = p->form->pairs && begins_arguments(p, c), right = begins || take(p, c);

	begins |= right && !p->form->pairs && begins_arguments(p, c);
	if (!right || (begins && !is_known(p)))
		give_up(p);
	else if (begins)
		begin_arguments(p);
	else
		p->at++;
}

/* The same of arguments that stand one by one; what was read beyond them is read again. */
static void step_pairs(struct call_parser *p)
{
	enum pairs_said said = pairs_add(p->pairs, p->raw.data[p->at++]);

	if (said != PAIRS_GO_ON)
		p->at -= pairs_held(p->pairs);
	p->from = said == PAIRS_GO_ON ? p->at - pairs_held(p->pairs) : p->at;
	if (said == PAIRS_GO_ON)
		return;
	tell_pairs(p);
	tell_end(p, said == PAIRS_OVER);
	pairs_free(p->pairs);
	p->pairs = NULL;
	p->state = said != PAIRS_OVER ? TEXT : nothing_wanted(p) ? NEXT : BEHIND;
}

/* What ends a call: as much of it as there is, none of which is text. */
static void step_behind(struct call_parser *p)
{
	if (!take(p, p->raw.data[p->at])) {
		p->state = TEXT;
	} else {
		p->at++;
		if (nothing_wanted(p))
			p->state = NEXT;
	}
	p->from = p->at;
}

/* What ends a section. */
static void step_close(struct call_parser *p)
{
	if (!take(p, p->raw.data[p->at])) {
		p->state = TEXT;
		p->at = p->from;
		return;
	}
	p->at++;
	if (!nothing_wanted(p))
		return;
	p->state = TEXT;
	p->from = p->at;
}

/* By the first byte after a call that is no white space. */
static void step_next(struct call_parser *p)
{
	const char *further = p->further[p->style - p->form->styles], *close = p->style->close;
	char c = p->raw.data[p->at], close_byte = close[strspn(close, " ")];

	if (is_space(c)) {
		p->at++;
	} else if (!p->form->single && c == further[strspn(further, " ")]) {
		p->state = CALL;
		p->want = further;
		p->n_name = p->n_spaces = 0;
	} else if (close_byte && c == close_byte) {
		p->state = CLOSE;
		p->want = close;
	} else {
		p->state = TEXT;
		p->at = p->from;
	}
}

static void step(struct call_parser *p)
{
	switch (p->state) {
	case START:
	case TEXT: step_text(p); break;
	case THOUGHT: step_thought(p); break;
	case OPEN:
	case CALL: step_call(p); break;
	case ARGUMENTS: step_arguments(p); break;
	case PAIRS: step_pairs(p); break;
	case BEHIND: step_behind(p); break;
	case NEXT: step_next(p); break;
	case CLOSE: step_close(p); break;
	}
}

void call_parser_add(struct call_parser *p, const char *text, size_t n)
{
	buf_add(&p->raw, text, n);
	while (p->at < p->raw.len)
		step(p);
	flush(p);
	if (p->state == ARGUMENTS)
		tell_arguments(p);
	if (p->state == PAIRS)
		tell_pairs(p);
	if (p->from)
		memmove(p->raw.data, p->raw.data + p->from, p->at - p->from);
	p->raw.len = p->at -= p->from;
	p->from = 0;
}

void call_parser_end(struct call_parser *p, bool cut)
{
	size_t spaces = 0;
	bool text = p->state == START || p->state == TEXT, call = p->state == OPEN || p->state == CALL;

	while (spaces < p->raw.len && is_space(p->raw.data[spaces]))
		spaces++;
	if (p->state == ARGUMENTS || p->state == PAIRS)
		tell_end(p, false);
	if (p->state == THOUGHT || ((text || call) && (!cut || spaces == p->raw.len)))
		say(p, p->raw.len);
	flush(p);
}
