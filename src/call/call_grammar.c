/* call_grammar: text until a mark comes is an automaton of Aho and Corasick (1975) over the marks' characters, written
 * as rules that go on with each other: a rule a state, a choice a character that leads on, and one for all others.
 *
 *     free-0 ::= "<" free-1 | [^<] free-0 | ""          behind "<tool_call>": behind-0
 *
 * Where a mark is whole, what follows it is another rule. */
#include "call/call_grammar.h"

#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "grammar/chars.h"
#include "grammar/gbnf.h"
#include "grammar/grammar.h"
#include "grammar/schema.h"

enum { MARKS = 8, STATES = 512, TOOLS = 128, CALLS = 64 };

bool call_name_valid(const char *name)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.";
	size_t n = strlen(name);

	return n && n <= CALLS && strspn(name, letters) == n;
}

/* --- text until a mark --- */

struct mark {
	const char *text, *then; /* the rule behind it */
};

struct automaton {
	const char *name; /* of its rules, name-0 … */
	struct mark mark[MARKS];
	size_t n_marks;
	bool may_end;
	struct {
		uint32_t cp;
		int parent, fail, mark;
	} state[STATES]; /* mark: which is whole there; −1 */
	int n;
};

static int child(const struct automaton *a, int state, uint32_t cp)
{
	for (int i = 1; i < a->n; i++)
		if (a->state[i].parent == state && a->state[i].cp == cp)
			return i;
	return -1;
}

static int next(const struct automaton *a, int state, uint32_t cp)
{
	int to = child(a, state, cp);

	return to >= 0 ? to : state == 0 ? 0 : next(a, a->state[state].fail, cp);
}

static void add_mark(struct automaton *a, size_t k)
{
	const char *text = a->mark[k].text;
	int state = 0;

	for (size_t n = strlen(text), i = 0; i < n;) {
		uint32_t cp;
		i += utf8_decode(text + i, n - i, &cp);
		int to = child(a, state, cp);
		if (to < 0) {
			if (a->n == STATES)
				BUG("a form's marks have too many characters");
			to = a->n++;
			a->state[to].cp = cp;
			a->state[to].parent = state;
			a->state[to].mark = -1;
		}
		state = to;
	}
	a->state[state].mark = (int)k;
}

static void build(struct automaton *a)
{
	a->n = 1;
	a->state[0].mark = -1;
	for (size_t k = 0; k < a->n_marks; k++)
		add_mark(a, k);
	/* states are numbered mark by mark, so a shorter one may come later: by rising depth */
	for (int depth = 1, met = 1; met; depth++) {
		met = 0;
		for (int i = 1; i < a->n; i++) {
			int d = 0, at = i;
			for (; at; at = a->state[at].parent)
				d++;
			if (d != depth)
				continue;
			met = 1;
			a->state[i].fail = depth == 1 ? 0 : next(a, a->state[a->state[i].parent].fail, a->state[i].cp);
		}
	}
}

static void quote_char(struct buf *out, uint32_t cp)
{
	char one[4];

	gbnf_quote(out, one, utf8_encode(cp, one));
}

/* Where a state's text goes on. */
static void write_target(const struct automaton *a, int to, struct buf *out)
{
	if (a->state[to].mark >= 0)
		buf_adds(out, a->mark[a->state[to].mark].then);
	else
		buf_addf(out, "%s-%d", a->name, to);
}

/* Choices of the characters from a state, those of `but` not among them, which is left with all that were written. */
static void write_choices(const struct automaton *a, int state, struct char_set *but, struct buf *out)
{
	for (int i = 1; i < a->n; i++) {
		uint32_t cp = a->state[i].cp;
		int to = next(a, state, cp);
		bool had = to == 0;
		for (size_t k = 0; k < but->n; k++)
			had |= but->range[k].lo <= cp && cp <= but->range[k].hi;
		if (had)
			continue;
		char_set_add(but, cp, cp);
		quote_char(out, cp);
		buf_addc(out, ' ');
		write_target(a, to, out);
		buf_adds(out, " | ");
	}
	char_set_tidy(but, true);
	char_set_write(but, false, out);
	buf_addf(out, " %s-0%s\n", a->name, a->may_end ? " | \"\"" : "");
}

static void write_automaton(struct automaton *a, struct buf *out)
{
	build(a);
	for (int i = 0; i < a->n; i++) {
		struct char_set but = { 0 };
		if (a->state[i].mark >= 0)
			continue;
		buf_addf(out, "%s-%d ::= ", a->name, i);
		write_choices(a, i, &but, out);
		char_set_release(&but);
	}
}

/* --- calls --- */

struct writing {
	const struct call_rules *r;
	struct buf *out;
	char (*arguments)[16];    /* [n_tools] rules */
	const char *space, *only; /* white space within a call's text, and before its arguments */
};

/* A form's text of one tool, up to the number of bytes. */
static void write_text(const struct writing *w, const char *text, size_t n, const char *name, const char *arguments)
{
	struct buf *out = w->out;

	for (size_t i = 0, k; i < n; i = k) {
		k = i + (text[i] == ' ' ? 1 : 2);
		if (text[i] == ' ') {
			buf_addf(out, "%s %s", n - i > 2 && !memcmp(text + i, " %a", 3) ? w->only : "", w->space);
		} else if (text[i] != '%') {
			for (k = i; k < n && text[k] != ' ' && text[k] != '%';)
				k++;
			buf_addc(out, ' ');
			gbnf_quote(out, text + i, k - i);
		} else if (text[i + 1] == '_') {
			buf_adds(out, " \" \"");
		} else if (text[i + 1] == 'i') {
			buf_adds(out, " [0-9]{1,3}");
		} else if (text[i + 1] == 'n') {
			buf_addc(out, ' ');
			gbnf_quote(out, name, strlen(name));
		} else {
			buf_addf(out, "%s %s", i && text[i - 1] == ' ' ? "" : w->only, arguments);
		}
	}
}

/* A choice of all tools' texts. */
static void write_tools(const struct writing *w, const char *rule, size_t style, const char *text)
{
	buf_addf(w->out, "%s-%zu ::=", rule, style);
	for (size_t i = 0; i < w->r->n_tools; i++) {
		buf_adds(w->out, i ? " |" : "");
		write_text(w, text, strlen(text), w->r->tools[i].name, w->arguments[i]);
	}
	buf_adds(w->out, "\n");
}

/* behind-S: what follows a style's head; calls-S: all of it. */
static void write_style(struct writing *w, size_t k)
{
	const struct call_form *f = w->r->form;
	const struct call_style *s = &f->styles[k];
	const struct writing was = *w;

	if (s->alone) { /* it may also be text */
		w->space = "wide";
		w->only = " !";
	}
	struct buf head = BUF_INIT;
	size_t n = call_style_head(s, &head);
	char *first = mem_printf("%s%s", s->open, s->call), *further = mem_printf("%s%s", s->between, s->call);

	write_tools(w, "first", k, first + n);
	write_tools(w, "further", k, further);
	buf_addf(w->out, "behind-%zu ::= first-%zu", k, k);
	if (w->r->parallel && !f->single)
		buf_addf(w->out, " (further-%zu){0,%d}", k, CALLS);
	write_text(w, s->close, strlen(s->close), "", "");
	buf_addf(w->out, "\ncalls-%zu ::=", k);
	write_text(w, first, n, "", "");
	buf_addf(w->out, "%s behind-%zu\n", s->alone ? "" : w->only, k);
	mem_free(first);
	mem_free(further);
	buf_release(&head);
	*w = was;
}

/* head-S: behind a head, a call or what a silent mark that begins as the head goes on with, then `next`. */
static void write_head(const struct writing *w, size_t k, const char *head, const char *next)
{
	buf_addf(w->out, "head-%zu ::= behind-%zu", k, k);
	for (const char *const *s = w->r->form->silent; !w->r->required && s && *s; s++)
		if (!strncmp(*s, head, strlen(head))) {
			buf_adds(w->out, " | ");
			gbnf_quote(w->out, *s + strlen(head), strlen(*s + strlen(head)));
			buf_addf(w->out, " %s", next);
		}
	buf_adds(w->out, "\n");
}

/* --- the whole --- */

/* Any text, and calls in it. */
static void write_auto(const struct writing *w)
{
	const struct call_form *f = w->r->form;
	struct automaton *a = mem_alloc(sizeof(*a));
	char then[MARKS][32];
	struct buf head[MARKS] = { 0 };
	size_t n = 0;

	*a = (struct automaton){ .name = "free", .may_end = true };
	for (; f->styles[n].call; n++) {
		call_style_head(&f->styles[n], &head[n]);
		write_head(w, n, buf_str(&head[n]), "free-0");
		snprintf(then[n], sizeof(then[n]), "head-%zu", n);
		if (!f->styles[n].alone)
			a->mark[a->n_marks++] = (struct mark){ buf_str(&head[n]), then[n] };
	}
	if (f->thought && w->r->thoughts && !f->kept)
		a->mark[a->n_marks++] = (struct mark){ f->thought, "thought-0" };
	write_automaton(a, w->out);
	buf_addf(w->out, "begin ::= %s", f->lead ? "head-0" : "free-0");
	for (size_t k = 0; k < n; k++) {
		if (f->styles[k].alone)
			buf_addf(w->out, " | wide calls-%zu", k);
		buf_release(&head[k]);
	}
	buf_adds(w->out, "\n");
	mem_free(a);
}

static void write_required(const struct writing *w)
{
	const struct call_form *f = w->r->form;

	if (f->lead) {
		buf_adds(w->out, "begin ::= behind-0\n");
		return;
	}
	buf_adds(w->out, "spaces ::= [ \\t\\r\\n]{0,8}\nbegin ::=");
	for (size_t k = 0; f->styles[k].call; k++)
		buf_addf(w->out, "%s spaces calls-%zu", k ? " |" : "", k);
	for (const char *const *s = f->silent; s && *s; s++) {
		buf_adds(w->out, " | ");
		gbnf_quote(w->out, *s, strlen(*s));
		for (size_t k = 0; f->styles[k].call; k++)
			buf_addf(w->out, "%s calls-%zu", k ? " |" : " (", k);
		buf_adds(w->out, ")");
	}
	buf_adds(w->out, "\n");
}

/* Calls, or a text of the format. */
static void write_formatted(const struct writing *w)
{
	const struct call_form *f = w->r->form;
	struct buf head = BUF_INIT;

	gbnf_rename(w->r->format, "f-", w->out);
	if (f->lead) {
		call_style_head(&f->styles[0], &head);
		write_head(w, 0, buf_str(&head), "! f-root");
		buf_adds(w->out, "\nbegin ::= head-0\n");
		buf_release(&head);
		return;
	}
	buf_adds(w->out, "\nbegin ::= ");
	for (const char *const *s = f->silent; s && *s; s++) {
		buf_adds(w->out, s == f->silent ? "(wide (" : " | ");
		gbnf_quote(w->out, *s, strlen(*s));
	}
	buf_adds(w->out, f->silent ? ") !)* (f-root" : "(f-root");
	for (size_t k = 0; f->styles[k].call; k++)
		buf_addf(w->out, " | wide calls-%zu", k);
	buf_adds(w->out, ")\n");
}

/* start: a thought may come first. Beside a format all that is no text is told from it by its first mark. */
static void write_root(const struct writing *w)
{
	const struct call_form *f = w->r->form;
	struct automaton *a = mem_alloc(sizeof(*a));
	bool formatted = w->r->format && !w->r->required,
	     thoughts = f->thought && (w->r->thoughts || w->r->thinks) && !(formatted && f->kept),
	     thinks = thoughts && w->r->thinks;

	*a = (struct automaton){ .name = "thought", .may_end = !w->r->required && !formatted };
	buf_addf(w->out, "root ::= %s\nstart ::= begin", thinks ? "thought-0" : "start");
	if (thoughts && (!thinks || formatted)) {
		buf_addf(w->out, " | %s ", w->space);
		gbnf_quote(w->out, f->thought, strlen(f->thought));
		buf_addf(w->out, "%s thought-0", w->only);
	}
	buf_adds(w->out, "\n");
	if (thoughts) {
		a->mark[a->n_marks++] = (struct mark){ f->thought_end, formatted ? "start" : "begin" };
		write_automaton(a, w->out);
	}
	mem_free(a);
}

/* --- arguments --- */

static void write_part(struct writing *w, const char *text, struct buf *out)
{
	struct buf *was = w->out;

	w->out = out;
	buf_addc(out, '(');
	write_text(w, text, strlen(text), "", "");
	buf_adds(out, " \"\")");
	w->out = was;
}

/* Of a form that writes them one by one. */
static int write_pairs(struct writing *w, struct schema_writer *schemas, const json_t *schema, json_t *kinds,
                       char name[16])
{
	const struct call_pairs *f = w->r->form->pairs;
	struct buf part[4] = { 0 };
	const char *text[4] = { f->key, f->behind, f->close, f->between };

	for (size_t i = 0; i < ARRAY_LEN(part); i++)
		write_part(w, text[i], &part[i]);
	struct schema_pairs how = { buf_str(&part[0]), buf_str(&part[1]),           buf_str(&part[2]),
		                    buf_str(&part[3]), f->python ? NULL : f->close, f->python };
	if (f->python)
		schema_writer_python(schemas);
	int status = schema_pairs(schemas, schema, &how, kinds, name);
	for (size_t i = 0; i < ARRAY_LEN(part); i++)
		buf_release(&part[i]);
	return status;
}

/* The rule of a tool's arguments. */
static int write_arguments(struct writing *w, struct schema_writer *schemas, size_t i, struct err *e)
{
	const struct call_tool *tool = &w->r->tools[i];
	json_t *kinds = json_object();
	int status = 0;

	if (w->r->form->pairs)
		status = write_pairs(w, schemas, tool->schema, kinds, w->arguments[i]);
	else if (!tool->schema)
		snprintf(w->arguments[i], sizeof(w->arguments[i]), "json-object");
	else
		status = schema_rule(schemas, tool->schema, w->arguments[i]);
	if (status < 0)
		err_prefix(e, "tool '%.64s'", tool->name);
	if (w->r->kinds)
		json_object_set(w->r->kinds, tool->name, kinds);
	json_decref(kinds);
	return status;
}

int call_grammar(const struct call_rules *r, struct buf *gbnf, struct err *e)
{
	bool formatted = r->format && !r->required;
	struct writing w = { r, gbnf, mem_array(r->n_tools, sizeof(*w.arguments)), formatted ? "wide" : "ws",
		             formatted ? " !" : "" };
	struct schema_writer *schemas = schema_writer_new(gbnf, e);
	int status = r->n_tools <= TOOLS ? 0 : err_set(e, "there are %zu tools, %d at most", r->n_tools, TOOLS);

	for (size_t i = 0; i < r->n_tools && status == 0; i++)
		status = write_arguments(&w, schemas, i, e);
	schema_writer_end(schemas);
	if (status == 0) {
		for (size_t k = 0; r->form->styles[k].call; k++)
			write_style(&w, k);
		buf_addf(gbnf, "wide ::= [ \\t\\r\\n]{0,%d}\n", CALL_SPACES);
		if (r->required)
			write_required(&w);
		else if (formatted)
			write_formatted(&w);
		else
			write_auto(&w);
		write_root(&w);
	}
	mem_free(w.arguments);
	return status;
}
