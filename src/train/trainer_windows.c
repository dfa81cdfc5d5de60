/* trainer_windows: a run whose data are token shards (train/windows.h). What a step takes at most follows from facts of
 * the shards: every window has as many tokens, and no more pieces than the one that has most. So a plan costs the same
 * for a page and for a library; its times and operations are of windows in the mean.
 *
 * Rows that are replayed or weighed belong to data that are rows: a corpus has its own mixture, and questions with
 * answers are mixed into it by windows (trainer_instruction.c). */
#include <math.h>
#include <string.h>

#include "base/hash.h"
#include "base/human.h"
#include "base/log.h"
#include "base/mem.h"
#include "train/trainer_parts.h"

bool trainer_is_windows(const struct trainer *t) { return t->train.windows != NULL; }

static int check(const struct trainer *t, struct err *e)
{
	const struct recipe *r = &t->recipe;
	const char *with = r->packing ? "--packing" : r->replay ? "--replay" : r->kl_to_base > 0 ? "--kl-to-base" :
		r->apply_chat_template ? "--apply-chat-template" :
		r->sampling && strcmp(r->sampling, "random") ? "--train-sampling-strategy sequential" : NULL;

	if (with)
		return err_set(e, "%s: %s is of rows, these are token shards", r->data, with);
	if (!t->objective.row->windows)
		return err_set(e, "%s: token shards are texts, and --objective %s does not learn from those", r->data,
		               t->objective.row->name);
	if (r->eval_data && shards_are(r->eval_data))
		return err_set(e, "%s: token shards to evaluate on are those that --data holds out, or rows",
		               r->eval_data);
	if (t->max_length + overlays_virtual(t->overlay) > r->micro_batch_tokens)
		return err_set(e, "windows of %d tokens are more than --micro-batch-tokens %lld; raise that or lower "
		                  "--max-length", t->max_length, (long long)r->micro_batch_tokens);
	return 0;
}

/* What its windows are made of, beside the shards. */
static void hash_windows(const struct windows *w, char hex[33])
{
	struct hash_stream *h = hash_begin();

	hash_add(h, w->shards.hash, sizeof(w->shards.hash));
	hash_add(h, w->shards.tokenizer, strlen(w->shards.tokenizer));
	hash_add(h, &w->o.length, sizeof(w->o.length));
	hash_end(h, hex);
}

static void say(const struct trainer *t)
{
	const struct windows *w = t->train.windows;
	struct shards_stream all = shards_total(&w->shards, SHARDS_TRAIN);
	char windows[32], tokens[32], documents[32], held[32];

	log_say("token shards: %s, %s tokens of %s documents: %s windows of %d a pass; %s tokens are held out to "
	        "evaluate on", t->recipe.data, human_count((double)all.tokens, tokens),
	        human_count((double)all.documents, documents), human_count((double)w->mixture.n_positions, windows),
	        w->o.length, human_count((double)t->eval.documents.tokens, held));
}

/* What is held out, unless rows are given to evaluate on. */
static int hold_out(struct trainer *t, struct err *e)
{
	struct dataset *d = &t->eval;

	if (t->recipe.eval_data)
		return 0;
	if (windows_held_out(t->train.windows, (size_t)t->recipe.eval_tokens, &d->documents,
	                     &t->totals.eval_bytes_per_token, e) < 0)
		return -1;
	if (!d->documents.n)
		return 0;
	trainer_find_groups(d);
	memcpy(d->rows.hash, t->train.rows.hash, sizeof(d->rows.hash));
	t->has_eval = true;
	return 0;
}

int trainer_open_windows(struct trainer *t, struct err *e)
{
	struct dataset *d = &t->train;
	const struct objective_run *o = &t->objective;
	struct windows_options options = { .length = t->max_length, .seed = (uint64_t)t->recipe.seed,
		                           .tokenizer = t->model->tokenizer,
		                           .masked = o->row->masked ? o->row->masked(o->options) : 0 };
	struct windows *w;

	if (check(t, e) < 0)
		return -1;
	w = mem_alloc(sizeof(*w));
	if (windows_open(w, t->recipe.data, &options, e) < 0) {
		mem_free(w);
		return -1;
	}
	d->windows = w;
	d->most_group = (size_t)w->most_pieces;
	memcpy(d->rows.hash, w->shards.hash, sizeof(d->rows.hash));
	hash_windows(w, d->hash);
	t->totals.bytes_per_token = w->bytes_per_token;
	if (hold_out(t, e) < 0)
		return -1;
	say(t);
	return 0;
}

int trainer_open_ramp(struct trainer *t, struct err *e)
{
	const char *text = t->recipe.rampup_batch_size;

	t->ramp = (struct batch_ramp){ .global = t->global };
	if (text && !trainer_is_windows(t))
		return err_set(e, "--rampup-batch-size is of windows of token shards, and %s are rows", t->recipe.data);
	return batch_ramp_parse(&t->ramp, text, e);
}

/* Once it is known how many a step takes. Who counts documents from the first one finds it in the data. */
void trainer_room_windows(struct trainer *t)
{
	struct windows *w = t->train.windows;

	if (!w)
		return;
	windows_room(w, t->global);
	t->train.documents.items = w->documents;
}

void trainer_dry_windows(const struct trainer *t, int32_t max_tokens, struct dry_run *out)
{
	const struct windows *w = t->train.windows;
	int32_t virtual = t->forest.virtual_tokens, length = w->o.length;
	int64_t together = MAX((int64_t)(max_tokens - virtual) / length, (int64_t)1), global = (int64_t)t->global,
	        most = MIN(together, global), micros = (global + together - 1) / together;
	uint64_t first = (uint64_t)t->totals.first, end = (uint64_t)t->schedule.steps,
	         before = batch_ramp_before(&t->ramp, end), fit = (uint64_t)together;
	double windows = (double)(before - batch_ramp_before(&t->ramp, first)),
	       share = w->o.masked > 0 ? w->o.masked : 1;

	out->cap.rows = out->cap.keys = (int32_t)(most * length) + virtual;
	out->cap.docs = (int32_t)most * w->most_pieces;
	out->cap.segments = out->cap.docs + (virtual > 0);
	/* of each piece one token is hidden at least, and rounded up */
	out->cap.labels = (int32_t)MIN(ceil(share * (double)(most * length)) + out->cap.docs, (double)(most * length));
	out->cap.targets = out->cap.labels;
	out->most_micro = micros;
	out->micro_batches = (int64_t)(batch_ramp_micros(&t->ramp, end, fit) - batch_ramp_micros(&t->ramp, first, fit));
	out->tokens = (int64_t)windows * length;
	out->all_rows = (int64_t)before * length;
	live_add(&out->live, &w->live, windows);
	out->live.rows += (double)out->micro_batches * virtual;
	out->live.visible += windows * length * virtual;
	instruction_plan(t, max_tokens, out);
}
