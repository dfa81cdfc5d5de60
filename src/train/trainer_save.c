/* trainer_save: checkpoints that a run goes on from bit for bit, and its result. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "train/checkpoint.h"
#include "train/run_dir.h"
#include "train/trainer_parts.h"
#include "model/export.h"
#include "model/weights.h"

static json_t *make_facts(const struct trainer *t, const json_t *caller)
{
	json_t *j = json_object();
	json_object_set_new(j, "step", json_integer(t->step));
	json_object_set_new(j, "skipped", json_integer(t->skipped));
	json_object_set_new(j, "version", json_string(KUNGFU_VERSION));
	json_object_set_new(j, "kernels", json_string(t->kernels->name));
	json_object_set_new(j, "model_hash", json_string(t->model_hash));
	json_object_set_new(j, "data_hash", json_string(t->train.rows.hash));
	json_object_set_new(j, "documents_hash", json_string(t->train.hash));
	json_object_set_new(j, "eval_data_hash", json_string(t->eval.rows.hash));
	json_object_set_new(j, "retain_hash", json_string(t->retain.rows.hash));
	json_object_set_new(j, "replay_hash", json_string(t->replay.rows.hash));
	if (*t->adapter_hash)
		json_object_set_new(j, "adapter_hash", json_string(t->adapter_hash));
	json_object_set_new(j, "recipe", recipe_record(&t->recipe));
	json_object_set(j, "caller", (json_t *)caller);
	return j;
}

/* With the tokenizer where it has tokens that the base's has not. */
static int write_adapter(const struct trainer *t, const char *dir, struct err *e)
{
	if (adapter_save(&t->adapter, t->model, dir, e) < 0)
		return -1;
	return t->model->n_new ? tokenizer_save(t->model->tokenizer, dir, e) : 0;
}

/* --- weights that count --- */

static void follow(struct trainer *t)
{
	if (t->has_adapter)
		adapter_follow(&t->adapter, t->model, t->kernels, t->pool);
	qat_follow(t, t->step);
}

static bool averages(const struct trainer *t)
{
	return optim_averages(&t->optim) && t->step > 0 && strcmp(t->recipe.ema_weights, "beside") != 0;
}

/* kept NULL: for good */
static int show(struct trainer *t, float *kept, struct err *e)
{
	struct ranks *r = t->sharing.ranks;

	if (r && !r->rank && ranks_order(r, RANKS_SHOW, kept != NULL, NULL, e) < 0)
		return -1;
	optim_show(&t->optim, kept);
	t->shown = true;
	if (share_show(t, e) < 0)
		return -1;
	follow(t);
	return 0;
}

int trainer_show(struct trainer *t, bool *shown, struct err *e)
{
	*shown = !t->shown && averages(t);
	if (*shown && show(t, grad_tree_leaf(&t->gradients), e) < 0)
		return -1;
	return zero3_gather(t, e);
}

void trainer_show_part(struct trainer *t, bool kept, struct err *e)
{
	show(t, kept ? grad_tree_leaf(&t->gradients) : NULL, e);
}

void trainer_hide(struct trainer *t, bool shown)
{
	struct ranks *r = t->sharing.ranks;
	struct err lost; /* which any later message meets too */

	zero3_scatter(t);
	if (!shown)
		return;
	if (r && !r->rank)
		ranks_order(r, RANKS_HIDE, 0, NULL, &lost);
	optim_hide(&t->optim, grad_tree_leaf(&t->gradients));
	t->shown = false;
	follow(t);
}

static int save_beside(void *ctx, const char *dir, struct err *e)
{
	struct trainer *t = ctx;
	const struct objective_run *o = &t->objective;
	bool shown;
	int status = trainer_show(t, &shown, e);

	if (!status && t->has_adapter)
		status = write_adapter(t, dir, e);
	trainer_hide(t, shown);
	if (status)
		return -1;
	return o->row->save ? o->row->save(o, t->step, dir, e) : 0;
}

/* A loss that is not finite stops a step, but of the last update no loss is computed any more. */
static int check_finite(const struct trainer *t, struct err *e)
{
	const struct params *p = t->params;
	size_t first = 0, end = p->n_items;

	if (t->zero3.on && !t->zero3.whole) { /* each looks at its own */
		first = t->optim.own_first;
		end = t->optim.own_end;
	}
	for (size_t i = first; i < end; i++) {
		const float *w = p->w + p->items[i].offset;
		for (size_t k = 0; k < p->items[i].n; k++)
			if (!isfinite(w[k]))
				return err_set(e,
				               "%s has numbers that are not finite after the last update, so it is not "
				               "saved: a lower learning rate or another epsilon may help",
				               p->items[i].name);
	}
	return 0;
}

static struct checkpoint checkpoint_of(struct trainer *t)
{
	const struct ranks *r = t->sharing.ranks;

	return (struct checkpoint){ .params = t->params, .kept = &t->adapter.kept, .optim = &t->optim,
		                    .reference = t->synced.v, .own = r ? t->sharing.first + r->rank : NULL,
		                    .apart = t->zero3.on, .part = r ? r->rank : 0, .parts = r ? r->size : 1,
		                    .ctx = t };
}

static int call_ranks(void *ctx, const char *dir, struct err *e)
{
	const struct trainer *t = ctx;

	return ranks_order(t->sharing.ranks, RANKS_SAVE, t->step, dir, e);
}

static int gather_ranks(void *ctx, int status, json_t *list, struct err *e)
{
	struct ranks *r = ((const struct trainer *)ctx)->sharing.ranks;
	char (*said)[RANKS_TEXT] = mem_array((size_t)r->size, sizeof(*said));

	status = ranks_agree(r, status, said, e);
	for (int k = 1; k < r->size && !status; k++)
		json_array_append_new(list, json_loads(said[k], 0, NULL));
	mem_free(said);
	return status;
}

int trainer_save(struct trainer *t, const char *dir, const json_t *caller, struct err *e)
{
	struct checkpoint c = checkpoint_of(t);

	if (!t->started || t->shown)
		BUG("a checkpoint of a run that has not begun, or is over");
	if (check_finite(t, e) < 0)
		return -1;
	c.facts = make_facts(t, caller);
	c.beside = t->has_adapter || t->objective.row->save ? save_beside : NULL;
	c.call = call_ranks;
	c.gather = gather_ranks;
	int status = checkpoint_write(dir, &c, e);
	json_decref(c.facts);
	return status;
}

void trainer_save_part(struct trainer *t, const char *dir, struct err *e)
{
	struct checkpoint c = checkpoint_of(t);
	char said[1][RANKS_TEXT];
	json_t *facts = NULL;
	int finite = check_finite(t, e);
	int status = finite < 0 ? -1 : checkpoint_write_part(dir, &c, &facts, e);
	char *line = finite < 0 ? mem_strdup("") : jsonx_line(facts);

	if (status && !finite)
		err_prefix(e, "the run's folder has to be in reach of all ranks");
	snprintf(said[0], sizeof(said[0]), "%s", line);
	ranks_agree(t->sharing.ranks, status, said, e);
	mem_free(line);
	json_decref(facts);
}

static int check_hash(const json_t *facts, const char *key, const char *now, const char *what, struct err *e)
{
	const char *then = json_string_value(json_object_get(facts, key));
	if (then && !strcmp(then, now))
		return 0;
	return err_set(e, "%s is not the one that the run began with", what);
}

static void warn_difference(const json_t *facts, const char *key, const char *now)
{
	const char *then = json_string_value(json_object_get(facts, key));
	if (then && strcmp(then, now) != 0)
		log_warn("the checkpoint was made with %s %s, this is %s: the bits may differ from a run in one piece",
		         key, then, now);
}

/* Evaluation rows decide something only where the best state or the end depends on them. */
static int check_inputs(const struct trainer *t, const json_t *facts, struct err *e)
{
	bool eval_decides = t->recipe.early_stopping_patience > 0 || t->recipe.load_best_model_at_end;

	if (check_hash(facts, "model_hash", t->model_hash, t->model->source.path, e) < 0 ||
	    check_hash(facts, "data_hash", t->train.rows.hash, t->recipe.data, e) < 0 ||
	    (eval_decides && check_hash(facts, "eval_data_hash", t->eval.rows.hash,
	                                t->recipe.eval_data ? t->recipe.eval_data : t->recipe.data, e) < 0))
		return -1;
	if (t->recipe.ewc > 0 && check_hash(facts, "retain_hash", t->retain.rows.hash, t->recipe.retain, e) < 0)
		return -1;
	if (*t->adapter_hash && check_hash(facts, "adapter_hash", t->adapter_hash, t->recipe.adapter, e) < 0)
		return -1;
	const char *replayed = json_string_value(json_object_get(facts, "replay_hash"));
	const char *mixed = t->recipe.replay ? t->recipe.replay : t->recipe.instruction_data;
	if ((mixed || (replayed && *replayed)) &&
	    check_hash(facts, "replay_hash", t->replay.rows.hash, mixed ? mixed : "the rows that are mixed in", e) < 0)
		return -1;
	return check_hash(facts, "documents_hash", t->train.hash, "the model's tokenizer or template", e);
}

static int check_facts(const struct trainer *t, const json_t *facts, struct err *e)
{
	json_t *recipe = recipe_record(&t->recipe);
	json_int_t step = json_integer_value(json_object_get(facts, "step"));
	int status = check_inputs(t, facts, e);

	if (!status)
		status = recipe_same_result(json_object_get(facts, "recipe"), recipe, e);
	if (!status && (step < 0 || step > t->schedule.steps))
		status = err_set(e, "it is of step %lld, the run has %ld", (long long)step, t->schedule.steps);
	json_decref(recipe);
	return status;
}

/* The numbers and what follows from them; *c: its facts are a new reference. */
static int load_state(struct trainer *t, const char *dir, long step, struct checkpoint *c, struct err *e)
{
	*c = checkpoint_of(t);
	if (checkpoint_read(dir, c, e) < 0)
		return -1;
	t->step = step;
	follow(t);
	t->skipped = (long)json_integer_value(json_object_get(c->facts, "skipped"));
	if (!t->objective.row->load || t->objective.row->load(&t->objective, step, dir, e) == 0)
		return 0;
	json_decref(c->facts);
	return err_prefix(e, "%s", dir);
}

/* When rank 0 has it, the others take it too. */
static int load_all(struct trainer *t, const char *dir, const json_t *facts, struct err *e)
{
	struct ranks *r = t->sharing.ranks;
	long step = (long)json_integer_value(json_object_get(facts, "step"));
	struct checkpoint c;

	if (load_state(t, dir, step, &c, e) < 0)
		return -1;
	json_decref(c.facts);
	return r && (ranks_order(r, RANKS_LOAD, step, dir, e) < 0 || ranks_agree(r, 0, NULL, e) < 0) ? -1 : 0;
}

void trainer_load_part(struct trainer *t, const char *dir, long step, struct err *e)
{
	struct checkpoint c;
	int status = load_state(t, dir, step, &c, e);

	if (!status)
		json_decref(c.facts);
	ranks_agree(t->sharing.ranks, status, NULL, e);
}

/* What belongs to another run is found out before a number of this one is overwritten. */
int trainer_load(struct trainer *t, const char *dir, json_t **caller, struct err *e)
{
	json_t *facts = checkpoint_facts(dir, e);

	if (!t->started)
		BUG("a checkpoint for a run that has not begun");
	if (!facts)
		return -1;
	int status = check_facts(t, facts, e) < 0 ? err_prefix(e, "%s", dir) : load_all(t, dir, facts, e);
	if (!status) {
		warn_difference(facts, "kernels", t->kernels->name);
		warn_difference(facts, "version", KUNGFU_VERSION);
		*caller = json_incref(json_object_get(facts, "caller"));
	}
	json_decref(facts);
	return status;
}

/* Each rank has a part of what averages. */
static int load_averages(struct trainer *t, const char *dir, struct err *e)
{
	json_t *facts = checkpoint_facts(dir, e);
	long step = t->step;
	int status = facts ? load_all(t, dir, facts, e) : -1;

	t->step = step; /* of the run, which is over */
	json_decref(facts);
	return status;
}

int trainer_load_weights(struct trainer *t, const char *dir, struct err *e)
{
	if (t->sharing.ranks && optim_averages(&t->optim))
		return load_averages(t, dir, e);
	struct checkpoint c = { .params = t->params, .kept = &t->adapter.kept, .optim = &t->optim };
	int status = optim_averages(&t->optim) ? checkpoint_read(dir, &c, e) :
	                                         checkpoint_read_weights(dir, t->params, &t->adapter.kept, e);

	json_decref(c.facts);
	t->zero3.whole = true; /* in rank 0, where it is read */
	follow(t);
	return status;
}

/* What is written, and where it is said that another rank's weights were lost. */
struct final { struct export_trained trained; struct trainer *t; struct err *e; };

/* A trained weight's numbers, or the model's own, whose pages are given back: that is what the plan counts with. */
static const float *final_numbers(void *ctx, int i, float *scratch)
{
	const struct final *f = ctx;
	const struct export_trained *t = &f->trained;
	const struct weight *w = &t->model->weights[i];

	if (t->param[i] < 0) {
		const float *x = export_own((void *)(uintptr_t)t->model, i, scratch);
		source_forget(&t->model->source, w->data, w->bytes);
		return x;
	}
	const float *x = zero3_weight(f->t, (uint32_t)t->param[i], scratch, f->e);
	if (x != scratch)
		return x ? export_from_params((void *)(uintptr_t)t, i, scratch) : NULL;
	if (weight_is_converted(t->model, i))
		weight_convert(t->model, i, scratch, true);
	return x;
}

/* Full tuning of a Hugging Face folder or a GGUF alike: a folder in f32. */
static int save_model(struct trainer *t, const char *dir, struct err *e)
{
	struct final f = { { .model = t->model, .params = &t->full.params, .param = t->full.replaced }, t, e };
	struct export_weights weights = { .get = final_numbers, .ctx = &f };

	return export_model(t->model, dir, DTYPE_F32, &weights, e);
}

/* The objective's own parameters, under their names. */
static int save_own(const struct trainer *t, const char *dir, struct err *e)
{
	const struct params *p = &t->objective.own.params;
	struct st_tensor *tensors = mem_array(p->n_items, sizeof(*tensors));
	char *path = io_join(dir, OBJECTIVE_FILE);

	for (size_t i = 0; i < p->n_items; i++) {
		const struct param *x = &p->items[i];
		tensors[i] = (struct st_tensor){ .name = x->name, .dtype = DTYPE_F32, .n_dims = x->n_dims,
			                         .data = p->w + x->offset, .bytes = x->n * sizeof(float) };
		memcpy(tensors[i].dim, x->dim, sizeof(x->dim));
	}
	struct st_meta meta = { "objective", t->objective.row->name };
	int status = st_write(path, tensors, p->n_items, &meta, 1, NULL, NULL, e);
	mem_free(path);
	mem_free(tensors);
	return status;
}

/* The result that others load: PEFT looks for the model where its file says. */
static int save_adapter(const struct trainer *t, const char *dir, struct err *e)
{
	const char *base = json_string_value(json_object_get(t->adapter.config, "base_model_name_or_path"));

	if (write_adapter(t, dir, e) < 0)
		return -1;
	if (base && !strcmp(base, t->recipe.model))
		log_say("adapter_config.json names %s as its base, a path that others cannot load it from: "
		        "--base-model-name-or-path ORG/NAME says theirs",
		        base);
	else if (base)
		log_say("adapter_config.json names %s as its base", base);
	return 0;
}

static int save_trained(struct trainer *t, const char *dir, struct err *e)
{
	if (t->recipe.qat)
		return qat_save(t, dir, e);
	return t->has_adapter ? save_adapter(t, dir, e) : save_model(t, dir, e);
}

/* --ema-weights beside: the same, of the average. */
static int save_average(struct trainer *t, const char *dir, struct err *e)
{
	char *beside = io_join(dir, AVERAGE_FOLDER);
	int status = io_mkdirs(beside, e);

	if (!status && (status = show(t, grad_tree_leaf(&t->gradients), e)) == 0) {
		status = save_trained(t, beside, e);
		trainer_hide(t, true);
	}
	mem_free(beside);
	return status;
}

int trainer_result(struct trainer *t, const char *dir, struct err *e)
{
	bool beside = t->recipe.ema_decay > 0 && !averages(t);

	if (!t->started)
		BUG("the result of a run that has not begun");
	if (averages(t) && show(t, NULL, e) < 0)
		return -1;
	if (check_finite(t, e) < 0)
		return -1;
	pass_stop(&t->net.pass);
	kl_stop(t);
	if (t->objective.own.params.n_items && save_own(t, dir, e) < 0)
		return -1;
	return beside && save_average(t, dir, e) < 0 ? -1 : save_trained(t, dir, e);
}
