/* trial_facts: what a tuning run tells of itself: run.json, which knows what each process of the run took, and the
 * summary at its end. */
#include "cmd/trial_parts.h"

#include <string.h>

#include "base/clock.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "cmd/metering.h"
#include "cmd/ranks_start.h"
#include "gas/profile.h"
#include "model/prepare.h"
#include "train/run_log.h"

/* What this process did: not the pieces before it, which have entries of their own. */
void trial_tell_counts(const struct trial_run *t)
{
	const struct train_loop *f = &t->loop, *before = &t->restored;

	metering_count(f->tokens - before->tokens, 0, f->supervised_tokens - before->supervised_tokens,
	               f->flops - before->flops, f->int_ops - before->int_ops);
}

/* run.json knows what each process of the run took, also one that is killed later. */
void trial_keep_gas(const struct trial_run *t)
{
	struct err ignored = ERR_INIT;
	json_t *all = json_object_get(t->facts, "processes"), *own = json_array_get(all, json_array_size(all) - 1);

	json_object_set_new(own, "gas", metering_so_far());
	run_dir_set_facts(&t->dir, t->facts, &ignored);
}

size_t trial_whole_gas(const json_t *facts, struct gas *g, size_t *unknown)
{
	const json_t *all = json_object_get(facts, "processes");
	size_t n = json_array_size(all);

	gas_none(g);
	*unknown = 0;
	for (size_t i = 0; i < n; i++) {
		const json_t *gas = json_object_get(json_array_get(all, i), "gas");
		*unknown += !gas;
		if (gas)
			gas_add_kept(g, gas);
	}
	return n;
}

static void put_eval(json_t *summary, const json_t *eval)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)eval, key, value) {
		if (!strcmp(key, "eval_loss"))
			json_object_set(summary, key, value);
		else if (!strncmp(key, "eval_", 5) && strcmp(key, "eval_runtime") != 0)
			json_object_set(summary, key + 5, value);
	}
}

json_t *trial_results(const struct trial_run *t, const char *status)
{
	const struct train_loop *f = &t->loop;
	const struct trainer_plan *p = trainer_plan(f->trainer);
	long steps = trainer_steps_done(f->trainer);
	json_t *j = json_object();

	json_object_set_new(j, "status", json_string(status));
	json_object_set_new(j, "compute", json_string(compute_name(trainer_compute(f->trainer))));
	json_object_set_new(j, "out", jsonx_path(f->dir->path));
	json_object_set_new(j, "steps", json_integer(steps));
	json_object_set_new(j, "loss", steps ? jsonx_number(f->loss) : json_null());
	json_object_set_new(j, "train_loss", steps ? jsonx_number(f->loss_sum / (double)steps) : json_null());
	json_object_set_new(j, "tokens_per_second", jsonx_number(fit_tokens_per_second(f, false)));
	json_object_set_new(j, "computed_tokens_per_second", jsonx_number(fit_tokens_per_second(f, true)));
	json_object_set_new(j, "seconds", json_real(clock_seconds() - t->began));
	json_object_set_new(j, "planned_seconds", jsonx_number(p->planned_seconds));
	json_object_set_new(j, "planned_bytes", json_integer((json_int_t)p->planned_bytes));
	json_object_set_new(j, "peak_rss_bytes", json_integer((json_int_t)mem_rss_peak()));
	json_object_set_new(j, "flops", json_real(f->flops - f->int_ops));
	json_object_set_new(j, "int_ops", json_real(f->int_ops));
	json_object_set_new(j, "tokens", json_integer(f->tokens));
	json_object_set_new(j, "computed_tokens", json_integer(f->computed_tokens));
	json_object_set_new(j, "supervised_tokens", json_integer(f->supervised_tokens));
	json_object_set_new(j, "trainable_parameters", json_integer((json_int_t)p->trainable));
	if (p->virtual_tokens)
		json_object_set_new(j, "virtual_tokens", json_integer(p->virtual_tokens));
	if (p->products)
		json_object_set_new(j, "adapter_flops_per_token", json_real(p->product_flops));
	put_eval(j, f->recipe->load_best_model_at_end ? f->best_eval : f->last_eval);
	if (f->forgetting)
		json_object_update(j, f->forgetting);
	return j;
}

static json_t *file_facts(const char *path, const char *hash)
{
	return path ? json_pack("{s:o, s:s}", "path", jsonx_path(path), "hash", hash) : json_null();
}

static json_t *command_words(const struct app *app, const char *name)
{
	json_t *words = json_pack("[s, s]", "kungfu", name);
	for (int i = 0; i < app->argc; i++)
		json_array_append_new(words, jsonx_path(app->argv[i]));
	return words;
}

/* What the run is and what it runs on; a resumed one adds itself to what is there. */
json_t *trial_facts(const struct trial_run *run, bool resume)
{
	const struct app *app = run->app;
	const struct trainer *t = run->trainer;
	const struct recipe *r = &run->recipe;
	const char *command = run->o->part ? run->o->part : run->o->command ? run->o->command :
		resume ? "resume" : "tune";
	char now[32], *processor = profile_processor();
	json_t *j = resume ? run_dir_facts(&run->dir) : NULL, *pieces, *process;

	clock_iso(now);
	if (!json_is_object(j)) {
		json_decref(j);
		j = json_object();
		json_object_set_new(j, "version", json_string(KUNGFU_VERSION));
		json_object_set_new(j, "seed", json_integer(r->seed));
		json_object_set_new(j, "method", json_string(r->method));
		json_object_set_new(j, "model", file_facts(r->model, trainer_model_hash(t)));
		json_object_set_new(j, "data", file_facts(r->data, trainer_data_hash(t, false)));
		json_object_set_new(j, "eval_data", file_facts(r->eval_data, trainer_data_hash(t, true)));
		json_object_set(j, "plan", run->plan);
		json_object_set_new(j, "processes", json_array());
	}
	pieces = json_object_get(j, "processes");
	process = json_pack("{s:o, s:s, s:s, s:s, s:s, s:i}", "command", command_words(app, command),
	                    "began", now, "version", KUNGFU_VERSION, "processor", processor, "kernels",
	                    app->kernels->name, "threads", pool_threads(app->pool));
	run_log_sign(process);
	json_array_append_new(pieces, process);
	json_object_set_new(j, "status", json_string("running"));
	mem_free(processor);
	return j;
}

int trial_set_status(const struct trial_run *t, const char *status, json_t *results, struct err *e)
{
	char now[32];
	clock_iso(now);
	json_object_set_new(t->facts, "status", json_string(status));
	json_object_set_new(t->facts, "ended", json_string(now));
	if (results)
		json_object_set(t->facts, "results", results);
	return run_dir_set_facts(&t->dir, t->facts, e);
}

/* Of a run of several processes the sums are the whole run's, as is the plan. */
static void put_whole_run(const struct trial_run *t, json_t *summary)
{
	const json_t *plan = json_object_get(t->facts, "plan");
	struct gas whole;
	size_t unknown, n = trial_whole_gas(t->facts, &whole, &unknown);

	if (n < 2)
		return;
	json_object_set_new(summary, "processes", json_integer((json_int_t)n));
	json_object_set_new(summary, "processes_unknown", json_integer((json_int_t)unknown));
	json_object_set_new(summary, "seconds", jsonx_number(whole.seconds));
	json_object_set_new(summary, "peak_rss_bytes", json_integer((json_int_t)whole.peak_rss_bytes));
	if (json_object_get(plan, "planned_seconds")) {
		json_object_set(summary, "planned_seconds", json_object_get(plan, "planned_seconds"));
		json_object_set(summary, "planned_bytes", json_object_get(plan, "planned_bytes"));
	}
	json_t *gas = json_object();
	gas_json(gas, &whole);
	json_object_del(gas, "flops");
	json_object_del(gas, "int_ops");
	json_object_del(gas, "energy_source");
	json_object_update(summary, gas);
	json_decref(gas);
}

json_t *trial_summary(const struct trial_run *t, const char *status, enum train_loop_end end)
{
	json_t *summary = trial_results(t, status);

	trial_tell_counts(t);
	if (end == FIT_DONE)
		metering_out("result", t->dir.path);
	ranks_count(t->app);
	trial_keep_gas(t);
	put_whole_run(t, summary);
	metering_summary(summary);
	return summary;
}
