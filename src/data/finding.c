/* finding: a bounded list of sentences about rows. */
#include "data/finding.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

size_t findings_kept(const struct findings *f) { return MIN(f->n, (size_t)FINDINGS_KEPT); }

void findings_add(struct findings *f, const char *file, size_t line, const char *fmt, ...)
{
	char text[sizeof(((struct err *)0)->msg)];
	va_list ap;

	if (f->n++ >= FINDINGS_KEPT)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	f->first[f->n - 1] = (struct finding){ file, line, arena_strdup(&f->mem, text) };
}

bool findings_take(struct findings *f, const char *file, size_t line, struct err *e)
{
	char place[sizeof(e->msg)];

	if (!f)
		return false;
	snprintf(place, sizeof(place), "%s:%zu: ", file, line);
	size_t n = strlen(place);
	findings_add(f, file, line, "%s", e->msg + (strncmp(e->msg, place, n) ? 0 : n));
	*e = (struct err)ERR_INIT;
	return true;
}

void findings_join(struct findings *f, const struct findings *more)
{
	size_t kept = findings_kept(more);

	for (size_t i = 0; i < kept; i++)
		findings_add(f, more->first[i].file, more->first[i].line, "%s", more->first[i].text);
	f->n += more->n - kept;
}

int findings_refuse(const struct findings *f, struct err *e)
{
	const struct finding *x = f->first;

	if (!f->n)
		return 0;
	if (f->n == 1)
		return err_set(e, "%s:%zu: %s", x->file, x->line, x->text);
	return err_set(e, "%s:%zu: %s (and %zu more rows are refused)", x->file, x->line, x->text, f->n - 1);
}

void findings_release(struct findings *f)
{
	arena_release(&f->mem);
	*f = (struct findings){ 0 };
}
