/* template_open: a template is parsed, within its bounds, and freed. */
#include "template/template.h"

#include <setjmp.h>
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "template/template_run.h"

/* The arena asked for more than there may be: nobody goes on, wherever that was. */
static void memory_full(void *out) { longjmp(*(jmp_buf *)out, 1); }

/* f(x), or false where it wanted more than template_memory_max bytes of the arena. */
bool template_within(struct arena *a, void (*f)(void *x), void *x)
{
	jmp_buf out;

	a->limit = template_memory_max;
	a->full = memory_full;
	a->who = &out;
	if (setjmp(out))
		return false;
	f(x);
	return true;
}

static int line_of(const char *source, size_t at)
{
	int line = 1;

	for (size_t i = 0; i < at; i++)
		line += source[i] == '\n';
	return line;
}

struct parsing { struct template *t; const char *source; bool plain; struct err why; };

static void parse_all(void *parsing)
{
	struct parsing *p = parsing;
	p->t->body = template_body(&p->t->mem, p->source, p->plain, &p->why);
}

static struct template *parse(const char *source, bool plain, struct err *e)
{
	struct template *t = mem_alloc(sizeof(*t));
	struct parsing p = { t, source, plain, ERR_INIT };
	size_t bad;

	t->strict = plain;
	if (!utf8_valid(source, strlen(source), &bad))
		err_set(&p.why, "line %d: the template is not UTF-8", line_of(source, bad));
	else if (!template_within(&t->mem, parse_all, &p))
		err_set(&p.why, "line 1: reading the template needs more than %zu bytes of memory",
		        template_memory_max);
	if (t->body || !p.why.msg[0])
		return t;
	err_set(e, "%s", p.why.msg);
	template_free(t);
	return NULL;
}

struct template *template_parse(const char *source, struct err *e) { return parse(source, false, e); }

struct template *template_parse_plain(const char *source, struct err *e) { return parse(source, true, e); }

void template_free(struct template *t)
{
	if (!t)
		return;
	template_free(t->with_tools);
	arena_release(&t->mem);
	mem_free(t);
}

struct template *template_parse_both(const char *source, const char *with_tools, struct err *e)
{
	struct template *t = template_parse(source ? source : with_tools, e), *more;

	if (!t || !with_tools)
		return t;
	if (!source) {
		t->tools_only = true;
		return t;
	}
	if (!(more = template_parse(with_tools, e))) {
		err_prefix(e, "tool_use");
		template_free(t);
		return NULL;
	}
	t->with_tools = more;
	return t;
}
