/* trial_plan: what a tuning run will take, as a plan says it before it begins, and the command line that repeats it. */
#include "cmd/trial_parts.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/human.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "cmd/estimate.h"
#include "cmd/metering.h"
#include "model/prepare.h"
#include "op/timing.h"

/* --- the plan --- */

#define FORGETTING_SHARE 0.03      /* of a run's seconds; less is not worth a word */

void trial_predict(struct predicted *out, const struct trainer_plan *p, const struct recipe *r,
                   const char *compute)
{
	predict_begin(out, "tune %s %s", r->method, compute);
	predict_phase(out, "start", p->start_seconds);
	predict_phase(out, "steps", p->step_seconds);
	predict_phase(out, "evaluations", p->eval_seconds);
	predict_phase(out, "saving", p->save_seconds);
	if (p->forgetting_tokens)
		predict_phase(out, "forgetting", p->forgetting_seconds);
	out->loose_seconds = hypot((double)(p->state_bytes + p->arena_bytes) / TIMING_SLOW_RATE, p->save_seconds);
	predict_operations(out, p->planned_flops, p->planned_int_ops);
	predict_part(out, "weights", (double)p->weights_bytes, "of the model, as its file stores them");
	predict_part(out, "state", (double)p->state_bytes, "parameters, gradients, optimizer");
	predict_part(out, "arena", (double)p->arena_bytes,
	             p->recomputed_nodes ? "activations; some are recomputed" : "activations; all are kept");
	predict_part(out, "scratch", (double)p->scratch_bytes, "of the threads");
	predict_part(out, "batch", (double)p->batch_bytes, "of a micro-batch");
	predict_part(out, "eval", (double)p->eval_bytes, "the evaluation's own activations");
	if (p->kl_bytes)
		predict_part(out, "kl_to_base", (double)p->kl_bytes, "base and tuned model over the prompts");
	if (p->made_bytes)
		predict_part(out, "rollout", (double)p->made_bytes, "answers while they are made, and their cache");
	predict_part(out, "base", (double)p->base_bytes, "program, libraries, tokenizer, data");
}

json_t *trial_plan_facts(const struct trainer_plan *p)
{
	json_t *j = json_object();

	json_object_set_new(j, "disk_bytes", json_integer((json_int_t)p->disk_bytes));
	json_object_set_new(j, "steps", json_integer(p->steps - p->first));
	json_object_set_new(j, "steps_done", json_integer(p->first));
	json_object_set_new(j, "epochs", json_real(p->epochs));
	json_object_set_new(j, "micro_batches", json_integer(p->micro_batches));
	json_object_set_new(j, "documents", json_integer(p->documents));
	json_object_set_new(j, "tokens", json_integer(p->tokens));
	json_object_set_new(j, "computed_tokens", json_integer(p->computed_tokens));
	json_object_set_new(j, "supervised_tokens", json_integer(p->supervised_tokens));
	json_object_set_new(j, "forgetting_tokens", json_integer(p->forgetting_tokens));
	json_object_set_new(j, "safety_pairs", json_integer((json_int_t)p->safety_pairs));
	json_object_set_new(j, "recomputed_nodes", json_integer(p->recomputed_nodes));
	json_object_set_new(j, "trainable_parameters", json_integer((json_int_t)p->trainable));
	json_object_set_new(j, "parameters", json_integer((json_int_t)p->parameters));
	if (p->kl_tokens)
		json_object_set_new(j, "kl_to_base_tokens", json_integer(p->kl_tokens));
	if (p->virtual_tokens)
		json_object_set_new(j, "virtual_tokens", json_integer(p->virtual_tokens));
	if (p->past_tokens)
		json_object_set_new(j, "past_tokens", json_integer(p->past_tokens));
	if (p->products)
		json_object_set_new(j, "adapter_flops_per_token", json_real(p->product_flops));
	return j;
}

/* What measuring it takes, and a word where that is much of a short run. */
static void say_forgetting(const struct trainer_plan *p, say_fn *say)
{
	double both = p->drawing_seconds + p->forgetting_seconds, share = both / p->planned_seconds;
	char seconds[32];

	if (!p->forgetting_tokens)
		return;
	predict_human(both, seconds);
	if (p->safety_pairs)
		say("  what is refused is measured on %zu pairs of prompts beside", p->safety_pairs);
	say("  what is forgotten is measured on %lld tokens: %s%s", (long long)p->forgetting_tokens, seconds,
	    share > FORGETTING_SHARE ? ", much of so short a run; --no-forgetting leaves it out" : "");
}

static void show_plan(const void *ctx, say_fn *say)
{
	const struct trainer_plan *p = ctx;
	char a[32], b[32], c[32], d[32], of[64] = "";

	if (p->first)
		snprintf(of, sizeof(of), " of %ld, after step %ld", p->steps, p->first);
	say("plan: %ld steps%s (%.4g epochs of %lld documents), %ld micro-batches", p->steps - p->first, of, p->epochs,
	    (long long)p->documents, p->micro_batches);
	say("  %s tokens as written, %s computed, %s supervised", human_count((double)p->tokens, a),
	    human_count((double)p->computed_tokens, b), human_count((double)p->supervised_tokens, c));
	if (p->f32)
		say("  computed in float32: this method learns worse in int8, which --compute int8 gives all the same");
	if (p->past_tokens)
		say("  all documents begin with the same %d tokens, which are the base's: computed once for the run",
		    p->past_tokens);
	say("  %s trainable parameters of %s; %s of disk", human_count((double)p->trainable, a),
	    human_count((double)p->parameters, b), human_bytes(p->disk_bytes, d));
	if (p->products)
		say("  %zu products of each token beside the model's, %s operations, in answers too", p->products,
		    human_count(p->product_flops, a));
	say_forgetting(p, say);
}

int trial_plan(struct app *app, const struct trainer *t, const struct recipe *r, json_t **kept, struct err *e)
{
	const struct trainer_plan *plan = trainer_plan(t);
	struct planned_options o = {
		.facts = trial_plan_facts(plan), .lines = show_plan, .ctx = plan, .kept = kept, .always = true
	};
	struct predicted p;

	metering_seed(r->seed);
	metering_in("model", r->model, trainer_model_hash(t));
	metering_in("data", r->data, trainer_data_hash(t, false));
	metering_in("eval_data", r->eval_data, trainer_data_hash(t, true));
	trial_predict(&p, plan, r, compute_name(trainer_model((struct trainer *)t)->compute));
	if (ranks_several(r->ranks)) { /* runs of as many learn from each other */
		size_t n = strlen(p.kind);
		snprintf(p.kind + n, sizeof(p.kind) - n, ", %d ranks", r->ranks->size);
	}
	return planned(app, &p, &o, e);
}

/* --- the words that repeat it --- */

/* A recipe of which nothing was said but the rows that the other one picks. */
static json_t *usual_record(const json_t *record)
{
	static const char *const picks[] = { "method", "objective", "optim" };
	struct recipe r = { 0 };
	struct opt_parse p;
	struct err e = ERR_INIT;
	json_t *only = json_object();

	for (size_t i = 0; i < ARRAY_LEN(picks); i++)
		json_object_set(only, picks[i], json_object_get(record, picks[i]));
	if (recipe_load(&r, &p, only, &e) < 0)
		BUG("%s", e.msg);
	json_t *usual = recipe_record(&r);
	json_decref(only);
	opt_release(&p);
	return usual;
}

static void add_word(json_t *words, const char *key, const json_t *value)
{
	struct buf name = BUF_INIT;

	buf_addf(&name, json_is_false(value) ? "--no-%s" : "--%s", key);
	for (char *c = name.data; *c; c++)
		*c = *c == '_' ? '-' : *c;
	json_array_append_new(words, json_string(buf_str(&name)));
	if (json_is_string(value))
		json_array_append(words, (json_t *)value);
	else if (!json_is_boolean(value)) {
		char *text = jsonx_line(value);
		json_array_append_new(words, json_string(text));
		mem_free(text);
	}
	buf_release(&name);
}

json_t *trial_words(const struct recipe *r)
{
	json_t *record = recipe_record(r), *usual = usual_record(record), *words = json_array(), *value;
	const char *key;

	if (r->model)
		json_array_append_new(words, jsonx_path(r->model));
	json_object_foreach(record, key, value)
		if (strcmp(key, "model") && !json_is_null(value) && !json_equal(value, json_object_get(usual, key)))
			add_word(words, key, value);
	json_decref(record);
	json_decref(usual);
	return words;
}
