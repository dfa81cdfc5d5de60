/* form: the table's rows by template and by name, and what all of them are asked for. */
#include "call/form.h"

#include <string.h>

#include "base/mem.h"

static bool has_all(const char *text, const char *const *list)
{
	for (; list && *list; list++)
		if (!strstr(text, *list))
			return false;
	return true;
}

static bool has_one(const char *text, const char *const *list)
{
	for (; list && *list; list++)
		if (strstr(text, *list))
			return true;
	return false;
}

const struct call_form *call_form_of(const char *template_)
{
	for (const struct call_form *const *f = call_form_table; *f; f++)
		if ((*f)->has && has_all(template_, (*f)->has) && !has_one(template_, (*f)->lacks))
			return *f;
	return NULL;
}

const struct call_form *call_form_by_name(const char *name)
{
	for (const struct call_form *const *f = call_form_table; *f; f++)
		if (!strcmp((*f)->name, name))
			return *f;
	return NULL;
}

void call_form_marks(const struct call_form *f, struct buf *out)
{
	for (const struct call_style *s = f->styles; s->call; s++)
		buf_addf(out, "%s\n%s\n%s\n%s\n", s->open, s->call, s->between, s->close);
	for (const char *const *s = f->silent; s && *s; s++)
		buf_addf(out, "%s\n", *s);
	if (f->thought)
		buf_addf(out, "%s\n%s\n", f->thought, f->thought_end);
	if (f->pairs)
		buf_addf(out, "%s\n%s\n%s\n", f->pairs->key, f->pairs->behind, f->pairs->close);
}

size_t call_style_head(const struct call_style *s, struct buf *out)
{
	char *whole = mem_printf("%s%s", s->open, s->call), *p = whole;

	buf_clear(out);
	for (; *p && (s->alone || *p != ' '); p++) {
		if (*p == '%' && p[1] != '_')
			break;
		buf_addc(out, *p == '%' ? ' ' : *p);
		p += *p == '%';
	}
	size_t n = (size_t)(p - whole);
	mem_free(whole);
	return n;
}
