/* trainer_data: from files to documents that can be learnt from, or a sentence that says which row cannot. */
#include "base/hash.h"
#include "base/human.h"
#include "base/log.h"
#include "base/mem.h"
#include "learn/trainer_parts.h"

/* A tokenizer of another model gives ids that this one has no row for. */
static int check_ids(const struct document *d, int n_vocabulary, struct err *e)
{
	for (int32_t i = 0; i < d->n; i++)
		if (d->ids[i] < 0 || d->ids[i] >= n_vocabulary)
			return err_set(e, "%s:%zu: token %d, the model has %d: its tokenizer does not belong to it", d->file, d->line,
			               d->ids[i], n_vocabulary);
	return 0;
}

static int check_document(const struct trainer *t, const struct document *d, struct err *e)
{
	if (check_ids(d, t->model.config.V, e) < 0)
		return -1;
	if (d->n_learn < 1)
		return err_set(e, "%s:%zu: nothing to learn: no token of this row is supervised", d->file, d->line);
	if (d->n > t->recipe.micro_batch_tokens)
		return err_set(e, "%s:%zu: %d tokens, more than --micro-batch-tokens %lld; raise that or lower --max-length", d->file,
		               d->line, d->n, (long long)t->recipe.micro_batch_tokens);
	return 0;
}

static int read_rows(struct trainer *t, struct dataset *d, const char *path, struct err *e)
{
	if (rows_load(&d->rows, path, e) < 0)
		return -1;
	if (d->rows.n == 0)
		return err_set(e, "%s holds no rows", path);
	if (!t->objective->accepts(d->rows.shape))
		return err_set(e, "%s: rows of %s; %s learns from %s", path, row_shape_name(d->rows.shape), t->objective->name,
		               t->objective->wants);
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

static int read_dataset(struct trainer *t, struct dataset *d, const char *path, bool eval, struct err *e)
{
	struct text_codec codec = { t->model.tokenizer, t->chat };
	struct document_options o = {
		.max_length = t->max_length,
		.apply_chat_template = t->recipe.apply_chat_template,
		.packing = t->recipe.packing && !eval,
		.eval_choices = eval,
	};

	if (read_rows(t, d, path, e) < 0 || documents_make(&d->documents, &d->rows, &codec, &o, e) < 0)
		return -1;
	if (d->documents.n == 0)
		return err_set(e, "%s gives no documents: its rows hold less than one of --max-length %d tokens", path, t->max_length);
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
	log_say("%s: %s, %s rows of %s: %zu documents, %s tokens, %s learnt", what, path, human_count((double)d->rows.n, rows),
	        row_shape_name(d->rows.shape), d->documents.n, human_count((double)d->documents.tokens, tokens),
	        human_count((double)d->documents.learnt, learnt));
}

int trainer_read_data(struct trainer *t, struct err *e)
{
	if (read_dataset(t, &t->train, t->recipe.data, false, e) < 0)
		return -1;
	say(&t->train, t->recipe.data, "training rows");
	if (!t->recipe.eval_data)
		return 0;
	if (read_dataset(t, &t->eval, t->recipe.eval_data, true, e) < 0)
		return -1;
	say(&t->eval, t->recipe.eval_data, "evaluation rows");
	t->has_eval = true;
	return 0;
}

void dataset_release(struct dataset *d)
{
	mem_free(d->pointer);
	documents_release(&d->documents);
	rows_release(&d->rows);
}
