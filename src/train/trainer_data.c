/* trainer_data: from files to documents that can be learnt from, or a sentence that says which row cannot. */
#include "base/hash.h"
#include "base/human.h"
#include "base/log.h"
#include "base/mem.h"
#include "data/lint.h"
#include "train/trainer_parts.h"

static int check_document(const struct trainer *t, const struct document *d, struct err *e)
{
	if (d->n > t->recipe.micro_batch_tokens)
		return err_set(
			e, "%s:%zu: %d tokens, more than --micro-batch-tokens %lld; raise that or lower --max-length",
			d->file, d->line, d->n, (long long)t->recipe.micro_batch_tokens);
	return 0;
}

static int read_rows(struct trainer *t, struct dataset *d, const char *path, struct err *e)
{
	if (rows_load(&d->rows, path, e) < 0)
		return -1;
	if (d->rows.n == 0)
		return err_set(e, "%s holds no rows", path);
	if (!t->objective->accepts(d->rows.shape))
		return err_set(e, "%s: rows of %s; %s learns from %s", path, shape_name(d->rows.shape),
		               t->objective->name, t->objective->wants);
	return 0;
}

static void hash_documents(const struct documents *d, char hex[33])
{
	struct hash_stream *h = hash_begin();
	for (size_t i = 0; i < d->n; i++) {
		hash_add(h, &d->items[i].n, sizeof(d->items[i].n));
		hash_add(h, d->items[i].ids, (size_t)d->items[i].n * sizeof(*d->items[i].ids));
		hash_add(h, d->items[i].learn, (size_t)d->items[i].n);
	}
	hash_end(h, hex);
}

/* Documents that nothing speaks against, and what may surprise the person who gave them. */
static int make_documents(struct trainer *t, struct dataset *d, struct lint *l, bool eval, struct err *e)
{
	struct text_codec codec = { t->model.tokenizer, t->chat };
	struct lint_options o = {
		.document = { .max_length = t->max_length,
		              .apply_chat_template = t->recipe.apply_chat_template,
		              .packing = t->recipe.packing && !eval,
		              .eval_choices = eval },
		.vocabulary = t->model.config.V,
	};

	if (lint_documents(l, &d->documents, &d->rows, &codec, &o, e) < 0 || lint_refuse(l, e) < 0)
		return -1;
	if (l->n_truncated)
		log_warn("%zu of %zu documents are longer than %d tokens and lose their end", l->n_truncated, l->n,
		         t->max_length);
	if (l->n_rewritten)
		log_warn("%zu assistant turns are not learnt: the chat template writes them differently once others "
		         "follow",
		         l->n_rewritten);
	if (l->n_duplicates && !eval)
		log_say("%zu documents are there twice; the first: %s:%zu repeats %s", l->n_duplicates,
		        l->duplicate.file, l->duplicate.line, l->duplicate.text);
	return 0;
}

static int read_dataset(struct trainer *t, struct dataset *d, struct lint *l, const char *path, bool eval,
                        struct err *e)
{
	if (read_rows(t, d, path, e) < 0 || make_documents(t, d, l, eval, e) < 0)
		return -1;
	if (d->documents.n == 0)
		return err_set(e, "%s gives no documents: its rows hold less than one of --max-length %d tokens", path,
		               t->max_length);
	d->pointer = mem_array(d->documents.n, sizeof(*d->pointer));
	for (size_t i = 0; i < d->documents.n; i++) {
		d->pointer[i] = &d->documents.items[i];
		if (check_document(t, d->pointer[i], e) < 0)
			return -1;
	}
	hash_documents(&d->documents, d->hash);
	return 0;
}

static void say(const struct dataset *d, const char *path, const char *what)
{
	char rows[32], tokens[32], learnt[32];
	log_say("%s: %s, %s rows of %s: %zu documents, %s tokens, %s learnt", what, path,
	        human_count((double)d->rows.n, rows), shape_name(d->rows.shape), d->documents.n,
	        human_count((double)d->documents.tokens, tokens), human_count((double)d->documents.learnt, learnt));
}

static int read_both(struct trainer *t, struct lint *train, struct lint *eval, struct err *e)
{
	if (read_dataset(t, &t->train, train, t->recipe.data, false, e) < 0)
		return -1;
	say(&t->train, t->recipe.data, "training rows");
	if (!t->recipe.eval_data)
		return 0;
	if (read_dataset(t, &t->eval, eval, t->recipe.eval_data, true, e) < 0)
		return -1;
	say(&t->eval, t->recipe.eval_data, "evaluation rows");
	t->has_eval = true;
	size_t common = lint_compare(train, eval).documents;
	if (common)
		log_warn("%zu of the evaluation's documents are among those to learn from", common);
	return 0;
}

int trainer_read_data(struct trainer *t, struct err *e)
{
	struct lint train = { 0 }, eval = { 0 };
	int status = read_both(t, &train, &eval, e);

	lint_release(&train);
	lint_release(&eval);
	return status;
}

void dataset_release(struct dataset *d)
{
	mem_free(d->pointer);
	documents_release(&d->documents);
	rows_release(&d->rows);
}
