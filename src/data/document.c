/* document: rows to documents, each by its shape (data/shape.h), and documents joined to rows of one length. */
#include "data/document.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/stop.h"
#include "data/maker.h"
#include "data/shape.h"

/* The row is full: a document, if it has anything to learn (its first token is none). */
static void pack_row(struct maker *m)
{
	bool some = false;

	for (size_t i = 1; i < m->ids.n && !some; i++)
		some = m->learn.id[i];
	if (some)
		maker_emit_part(m, 0, m->ids.n);
	maker_begin(m);
}

void documents_pack(struct documents *d, int32_t max_length)
{
	struct documents packed = { .columns = d->columns,
		                    .n_truncated = d->n_truncated,
		                    .n_split = d->n_split,
		                    .n_rewritten = d->n_rewritten };
	struct row row = { 0 };
	struct maker m = { .d = &packed, .row = &row };

	for (size_t i = 0; i < d->n; i++) {
		for (int32_t j = 0; j < d->items[i].n; j++) {
			if (m.ids.n == 0)
				row = (struct row){ .file = d->items[i].file, .line = d->items[i].line };
			maker_put(&m, d->items[i].ids[j], d->items[i].learn[j]);
			if (m.ids.n == (size_t)max_length)
				pack_row(&m);
		}
	}
	maker_release(&m);
	d->columns = (struct columns){ 0 };
	documents_release(d);
	*d = packed;
}

int documents_packable(const struct rows *r, const struct document_options *o, struct err *e)
{
	if (o->labelled || (r->n && r->shape->label_only))
		return err_set(e, "--packing joins documents, those with labels stand alone");
	if (o->masked > 0)
		return err_set(e, "--packing joins documents, those with hidden tokens stand alone");
	if (!r->n || !r->shape->roles[0])
		return 0;
	return err_set(e, "%s: --packing joins documents, those of rows of %s have roles", r->items[0].file,
	               r->shape->name);
}

/* Does a template write it? */
static bool row_templated(const struct row *r, const struct shape *s, const struct text_codec *c,
                          const struct document_options *o)
{
	return c->template_ && shape_templated(s, r->json, o->apply_chat_template);
}

/* A row's documents; where it gives none and that is told elsewhere, nothing of it stays. */
static int make_row(struct maker *m, const struct rows *r, struct err *e)
{
	struct documents *d = m->d, before = *d;

	if (r->shape->make(m, e) == 0)
		return 0;
	if (!findings_take(m->o->bad, m->row->file, m->row->line, e))
		return -1;
	d->n = before.n;
	d->tokens = before.tokens;
	d->learnt = before.learnt;
	d->n_truncated = before.n_truncated;
	d->n_split = before.n_split;
	d->n_rewritten = before.n_rewritten;
	d->n_tied = before.n_tied;
	return 0;
}

int documents_make(struct documents *d, const struct rows *r, const struct text_codec *c,
                   const struct document_options *o, struct err *e)
{
	struct document_options whole = *o;
	struct maker m = { .d = d, .codec = c, .o = &whole, .shape = r->shape };
	const char *also[] = { o->labelled ? "margin" : o->reads, o->labelled ? o->reads : NULL, NULL };
	int status = 0;

	if (o->max_length < 2)
		BUG("documents of at most %d tokens", o->max_length);
	if (o->packing)
		whole.max_length = INT32_MAX;
	*d = (struct documents){ 0 };
	if (o->packing && documents_packable(r, o, e) < 0)
		return -1;
	for (size_t i = 0; i < r->n && !status; i++) {
		m.row = &r->items[i];
		m.made = 0;
		m.whole = o->eval_choices && r->shape->judged == JUDGED_CHOICES && !o->labelled;
		columns_look(&d->columns, r->shape, m.row, row_templated(m.row, r->shape, c, o), also);
		status = stop_look(e, "documents were made") < 0 ? -1 : make_row(&m, r, e);
	}
	if (status) {
		err_prefix(e, "%s:%zu", m.row->file, m.row->line);
		documents_release(d);
	} else if (o->packing) {
		documents_pack(d, o->max_length);
	}
	maker_release(&m);
	return status;
}

void documents_release(struct documents *d)
{
	arena_release(&d->mem);
	mem_free(d->items);
	columns_release(&d->columns);
	*d = (struct documents){ 0 };
}

double document_number(const struct document *d)
{
	char *end;

	if (!d->label)
		return NAN;
	double y = strtod(d->label, &end);
	return end == d->label || *end || strpbrk(d->label, "xXnN") ? NAN : y;
}
