/* trainer_data: from files to documents that can be learnt from, or a sentence that says which row cannot. */
#include "base/hash.h"
#include "base/human.h"
#include "base/log.h"
#include "base/mem.h"
#include "data/lint.h"
#include "train/trainer_parts.h"

/* Does the group fit into a micro-batch? */
static int check_group(const struct trainer *t, const struct document *const *docs, size_t n, bool share, struct err *e)
{
	int64_t virtual = overlays_virtual(t->overlay), tokens = virtual;

	for (size_t i = 0; i < n; i++)
		tokens += docs[i]->n;
	if (tokens > t->recipe.micro_batch_tokens)
		tokens = virtual + forest_rows(docs, n, share);
	if (tokens > t->recipe.micro_batch_tokens)
		return err_set(
			e, "%s:%zu: %lld tokens, more than --micro-batch-tokens %lld; raise that or lower --max-length",
			docs[0]->file, docs[0]->line, (long long)tokens, (long long)t->recipe.micro_batch_tokens);
	return 0;
}

void trainer_find_groups(struct dataset *d)
{
	size_t n = d->documents.n;

	d->pointer = mem_array(n, sizeof(*d->pointer));
	d->group = mem_array(n + 1, sizeof(*d->group));
	for (size_t i = 0; i < n; i++) {
		d->pointer[i] = &d->documents.items[i];
		if (!d->documents.items[i].joined)
			d->group[d->n_groups++] = i;
		d->most_group = MAX(d->most_group, i + 1 - d->group[d->n_groups - 1]);
	}
	d->group[d->n_groups] = n;
}

static int refuse_shape(const struct trainer *t, const struct dataset *d, const char *path, struct err *e)
{
	struct buf shapes = BUF_INIT, renamed = BUF_INIT;

	if (shape_misfit(&d->rows.items[0], e) < 0) /* which is why they are of a shape of fewer columns */
		return -1;
	objective_shapes(t->objective.row, &shapes);
	if (d->rows.shape->asks_only)
		shape_renamed(&d->rows.items[0], &renamed);
	err_set(e, "%s: rows of %s; --objective %s trains on %s%s", path, shape_name(d->rows.shape),
	        t->objective.row->name, buf_str(&shapes), buf_str(&renamed));
	buf_release(&shapes);
	buf_release(&renamed);
	return -1;
}

static int read_rows(struct trainer *t, struct dataset *d, const char *path, struct err *e)
{
	if (rows_load_kind(&d->rows, path, objective_feedback(t->objective.row), e) < 0)
		return -1;
	if (d->rows.n == 0)
		return err_set(e, "%s holds no rows", path);
	return objective_accepts(t->objective.row, d->rows.shape) ? 0 : refuse_shape(t, d, path, e);
}

static void hash_documents(const struct documents *d, char hex[33])
{
	struct hash_stream *h = hash_begin();
	for (size_t i = 0; i < d->n; i++) {
		hash_add(h, &d->items[i].n, sizeof(d->items[i].n));
		hash_add(h, d->items[i].ids, (size_t)d->items[i].n * sizeof(*d->items[i].ids));
		hash_add(h, d->items[i].learn, (size_t)d->items[i].n);
		if (d->items[i].joined || d->items[i].role)
			hash_add(h, &d->items[i].role, sizeof(d->items[i].role));
	}
	hash_end(h, hex);
}

/* Of a text's tokens that are hidden. */
static double masked_share(const struct trainer *t)
{
	const struct objective_run *o = &t->objective;

	return o->row->masked ? o->row->masked(o->options) : 0;
}

/* By the objective, beside what the rows' shape says. */
static const char *column_read(const struct trainer *t)
{
	const struct objective_run *o = &t->objective;

	return o->row->reads ? o->row->reads(o->options) : NULL;
}

/* Documents that nothing speaks against, and what may surprise the person who gave them. */
static int make_documents(struct trainer *t, struct dataset *d, struct lint *l, bool eval, struct err *e)
{
	struct text_codec codec = { t->model->tokenizer, t->chat };
	struct lint_options o = {
		.document = { .max_length = t->max_length,
		              .apply_chat_template = t->recipe.apply_chat_template,
		              .packing = t->recipe.packing && !eval,
		              .labelled = t->objective.row->labelled,
		              .label_first = t->model->config.arch->encoder,
		              .types = model_types(t->model),
		              .masked = masked_share(t),
		              .reads = column_read(t),
		              .eval_choices = eval },
		.vocabulary = t->model->config.V,
	};

	if (lint_documents(l, &d->documents, &d->rows, &codec, &o, e) < 0 || lint_refuse(l, e) < 0)
		return -1;
	columns_warn(&d->documents.columns);
	if (l->n_truncated)
		log_warn("%zu of %zu documents are longer than %d tokens and lose their end", l->n_truncated, l->n,
		         t->max_length);
	if (l->n_rewritten)
		log_warn("%zu assistant turns are not trained on: the chat template writes them differently once "
		         "others follow",
		         l->n_rewritten);
	if (d->documents.n_tied)
		log_warn("%zu of %zu rows have no answer that is better than another: nothing is learnt from them",
		         d->documents.n_tied, d->rows.n);
	if (l->equal.n == d->rows.n && !eval && t->objective.row->roles)
		return err_set(e, "%s:%zu: the answers of all %zu rows are the same, at least within --max-length %d: "
		                  "there is nothing to learn from them", l->equal.first->file, l->equal.first->line,
		               d->rows.n, t->max_length);
	if (l->equal.n && !eval)
		log_warn("%zu of %zu rows have answers that are the same, at least within --max-length %d: these teach "
		         "nothing; the first: %s:%zu", l->equal.n, d->rows.n, t->max_length, l->equal.first->file,
		         l->equal.first->line);
	if (l->duplicates.n && !eval)
		log_say("%zu documents are there twice; the first: %s:%zu repeats %s", l->duplicates.n,
		        l->duplicates.first->file, l->duplicates.first->line, l->duplicates.first->text);
	if (l->empty.n && !eval)
		log_warn("%zu answers are empty%s; the first: %s:%zu", l->empty.n,
		         t->objective.row->labelled ? "" : l->empty.n == 1 ? ", only its end is trained on" :
		                                           ", only their end is trained on",
		         l->empty.first->file, l->empty.first->line);
	return 0;
}

/* chat puts the template around what is asked; rows that are learnt without it teach another form. Who
 * tells classes apart, or what is hidden, answers nothing. */
static void warn_untemplated(const struct lint *l, const struct dataset *d, const struct objective *o)
{
	if (l->n_untemplated && !o->labelled && !o->masked)
		log_warn("%zu of %zu rows train without the model's chat template, which chat and generate apply: ask "
		         "with generate --raw, or write rows as {\"messages\": …}",
		         l->n_untemplated, d->rows.n);
}

/* Prompts that are learnt beside the answer. */
static void learn_prompts(struct documents *d)
{
	for (size_t i = 0; i < d->n; i++) {
		struct document *x = &d->items[i];
		for (int32_t k = 1; k < x->n && x->role == 0; k++)
			if (!x->learn[k]) {
				x->learn[k] = LEARN_PROMPT;
				x->n_learn++;
				d->learnt++;
			}
	}
}

static int read_dataset(struct trainer *t, struct dataset *d, struct lint *l, const char *path, bool eval,
                        struct err *e)
{
	if (read_rows(t, d, path, e) < 0 || make_documents(t, d, l, eval, e) < 0)
		return -1;
	if (d->documents.n == 0 && d->documents.n_tied)
		return err_set(e, "%s: in none of its %zu rows an answer is better than another: there is nothing to "
		                  "learn", path, d->rows.n);
	if (d->documents.n == 0)
		return err_set(e, "%s gives no documents: its rows hold less than one of --max-length %d tokens", path,
		               t->max_length);
	if (t->objective.row->prompts)
		learn_prompts(&d->documents);
	trainer_find_groups(d);
	hash_documents(&d->documents, d->hash);
	return 0;
}

static void say(const struct dataset *d, const char *path, const char *what)
{
	char rows[32], tokens[32], learnt[32];
	log_say("%s: %s, %s rows of %s: %zu documents, %s tokens, %s trained on", what, path,
	        human_count((double)d->rows.n, rows), shape_name(d->rows.shape), d->documents.n,
	        human_count((double)d->documents.tokens, tokens), human_count((double)d->documents.learnt, learnt));
}

static int read_train(struct trainer *t, struct lint *train, struct err *e)
{
	if (shards_are(t->recipe.data))
		return trainer_open_windows(t, e);
	if (read_dataset(t, &t->train, train, t->recipe.data, false, e) < 0)
		return -1;
	say(&t->train, t->recipe.data, "training rows");
	if (t->train.rows.shape->labelled && !t->objective.row->labelled)
		log_warn("--objective %s does not read the column label: --objective classification and regression do",
		         t->objective.row->name);
	warn_untemplated(train, &t->train, t->objective.row);
	return 0;
}

static int read_both(struct trainer *t, struct lint *train, struct lint *eval, struct err *e)
{
	if (read_train(t, train, e) < 0)
		return -1;
	if (!t->recipe.eval_data)
		return 0;
	if (read_dataset(t, &t->eval, eval, t->recipe.eval_data, true, e) < 0)
		return -1;
	say(&t->eval, t->recipe.eval_data, "evaluation rows");
	t->has_eval = true;
	size_t common = trainer_is_windows(t) ? 0 : lint_compare(train, eval).documents;
	if (common)
		log_warn("%zu of the evaluation's documents are among the training rows", common);
	return 0;
}

/* Rows beside those that are the run's subject: to be retained (scored: every choice by itself), to be mixed in. */
static int read_beside(struct trainer *t, struct dataset *d, const char *path, const char *option, const char *what,
                       struct err *e)
{
	const struct objective *sft = objective_find("sft");
	bool scored = d == &t->retain;
	struct buf shapes = BUF_INIT;
	struct lint lint = { 0 };

	if (!path)
		return 0;
	if (rows_load(&d->rows, path, e) < 0)
		return -1;
	if (!d->rows.n)
		return err_set(e, "%s holds no rows", path);
	if (!objective_accepts(sft, d->rows.shape)) {
		objective_shapes(sft, &shapes);
		err_set(e, "%s: rows of %s; %s wants %s", path, shape_name(d->rows.shape), option, buf_str(&shapes));
		buf_release(&shapes);
		return -1;
	}
	int status = make_documents(t, d, &lint, scored, e);
	lint_release(&lint);
	if (status)
		return -1;
	if (!d->documents.n)
		return err_set(e, "%s gives no documents", path);
	if (d == &t->replay && t->recipe.instruction_data)
		instruction_join(d, t->max_length, (uint64_t)t->recipe.seed);
	trainer_find_groups(d);
	say(d, path, what);
	return 0;
}

/* Rows that are mixed in: of rows, or of windows. */
static int read_mixed(struct trainer *t, struct err *e)
{
	const struct recipe *r = &t->recipe;

	if (r->instruction_data && !trainer_is_windows(t))
		return err_set(e, "%s: --instruction-data is mixed into token shards, and these are none; rows are "
		                  "mixed by --replay", r->data);
	if (r->instruction_data)
		return read_beside(t, &t->replay, r->instruction_data, "--instruction-data", "rows among the windows",
		                   e);
	return read_beside(t, &t->replay, r->replay, "--replay", "rows to replay", e);
}

int trainer_read_data(struct trainer *t, struct err *e)
{
	struct lint train = { 0 }, eval = { 0 };
	int status = read_both(t, &train, &eval, e) < 0 ||
	             read_beside(t, &t->retain, t->recipe.retain, "--retain", "rows to retain", e) < 0 ||
	             read_mixed(t, e) < 0 ? -1 : 0;

	lint_release(&train);
	lint_release(&eval);
	return status;
}

static int check_groups(const struct trainer *t, const struct dataset *d, bool share, struct err *e)
{
	for (size_t g = 0; g < d->n_groups; g++)
		if (check_group(t, d->pointer + d->group[g], d->group[g + 1] - d->group[g], share, e) < 0)
			return -1;
	return 0;
}

int trainer_check_invoked(const struct trainer *t, struct err *e)
{
	const struct documents *d = &t->train.documents;
	size_t without = 0;

	if (!overlays_invocations(t->overlay))
		return 0;
	for (size_t i = 0; i < d->n; i++) {
		const struct document *x = &d->items[i];
		without += overlays_invoked(t->overlay, x->adapter, x->ids, x->n) == x->n;
	}
	if (d->n && without == d->n)
		return err_set(e, "none of the %zu documents has the tokens that invoke the adapter "
		                  "(--alora-invocation-tokens): it would act on nothing", d->n);
	if (without)
		log_warn("%zu of %zu documents do not have the tokens that invoke the adapter, and teach it nothing",
		         without, d->n);
	return 0;
}

int trainer_check_groups(const struct trainer *t, struct err *e)
{
	if (check_groups(t, &t->train, t->forest.share, e) < 0 || check_groups(t, &t->replay, t->forest.share, e) < 0)
		return -1;
	return check_groups(t, &t->eval, true, e) < 0 ? -1 : check_groups(t, &t->retain, true, e);
}

void dataset_release(struct dataset *d)
{
	if (d->windows) {
		windows_close(d->windows);
		d->documents.items = NULL; /* were theirs */
	}
	mem_free(d->windows);
	mem_free(d->pointer);
	mem_free(d->group);
	mem_free(d->reference);
	mem_free(d->reference_at);
	documents_release(&d->documents);
	rows_release(&d->rows);
}
