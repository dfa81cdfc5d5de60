/* api_session: kf_session: a session, the threads that compute it, and the answer that was generated last. */
#include <math.h>

#include "api/handles.h"
#include "base/mem.h"
#include "infer/generate.h"

struct kf_session {
	struct handle handle;
	struct kf_model *model;       /* shared */
	struct kf_adapter *adapter;   /* shared, or NULL */
	struct pool *pool;
	struct device device;
	struct session *session;
	struct sampler sampler;
	struct sampler_choice choice;
	struct tokens ends;
	struct generation generation;
};

static const enum dtype cache_dtypes[] = {
	[KF_CACHE_F32] = DTYPE_F32, [KF_CACHE_F16] = DTYPE_F16, [KF_CACHE_Q8_0] = DTYPE_Q8_0
};

static bool is_cache_type(int32_t t) { return t >= 0 && (size_t)t < ARRAY_LEN(cache_dtypes); }

static int open_session(struct kf_session *s, const struct overlay *overlay, int context, struct err *e)
{
	const struct kernels *k = kernels_get(NULL, e);
	const struct kf_settings *o = &s->handle.settings;
	struct session_size size = { .n_ctx = context ? context : s->model->model.config.n_ctx,
	                             .cache = { cache_dtypes[o->cache_type_k], cache_dtypes[o->cache_type_v] } };

	if (!k)
		return -1;
	s->pool = handle_pool(&s->handle);
	sampler_choose(&s->choice);
	s->device = device_cpu(k, s->pool);
	sampler_init(&s->sampler, (size_t)s->model->model.config.V);
	generate_ends(&s->model->model, &s->ends);
	return session_new(&s->session, &s->model->model, overlay, &s->device, &size, e);
}

int kf_session_new(struct kf_session **out, struct kf_model *m, struct kf_adapter *adapter, int context,
                   const struct kf_settings *settings, struct kf_error *error)
{
	struct call c;
	const struct overlay *overlay;
	const char *why;

	if (out)
		*out = NULL;
	if (call_open(&c, settings, error) < 0)
		return KF_MISUSE;
	if (!out || !handle_is(m, KIND_MODEL))
		return call_misuse(&c, "a %s was wanted", out ? "kf_model" : "place for the session");
	if (adapter_of(adapter, m, &overlay, &why) < 0)
		return call_misuse(&c, "%s", why);
	if (context < 0 || context > m->model.config.n_ctx)
		return call_misuse(&c, "context is %d: 0 to %d, the model's, was wanted", context,
		                   m->model.config.n_ctx);
	if (settings && (!is_cache_type(settings->cache_type_k) || !is_cache_type(settings->cache_type_v)))
		return call_misuse(&c, "settings.cache_type_k and _v are %d and %d: one of kf_cache_type was wanted",
		                   settings->cache_type_k, settings->cache_type_v);
	struct kf_session *s = mem_alloc(sizeof(*s));
	handle_init(&s->handle, KIND_SESSION, &c);
	s->model = handle_share(m);
	s->adapter = handle_share(adapter);
	if (open_session(s, overlay, context, &c.err) < 0) {
		kf_session_free(s);
		return call_end(&c, -1);
	}
	*out = s;
	return call_end(&c, 0);
}

void kf_session_free(struct kf_session *s)
{
	if (!handle_is(s, KIND_SESSION) || handle_defer(s))
		return;
	s->handle.kind = KIND_NONE;
	generation_release(&s->generation);
	session_free(s->session);
	sampler_release(&s->sampler);
	sampler_choice_release(&s->choice);
	tokens_release(&s->ends);
	pool_free(s->pool);
	kf_adapter_free(s->adapter);
	kf_model_free(s->model);
	mem_free(s);
}

int kf_session_length(const struct kf_session *s)
{
	return handle_is(s, KIND_SESSION) ? session_length(s->session, 0) : KF_MISUSE;
}
int kf_session_context(const struct kf_session *s)
{
	return handle_is(s, KIND_SESSION) ? session_limit(s->session) : KF_MISUSE;
}

int kf_session_truncate(struct kf_session *s, int length, struct kf_error *error)
{
	struct call c;

	if (call_begin(&c, s, KIND_SESSION, error) < 0)
		return KF_MISUSE;
	if (length < 0 || length > session_length(s->session, 0))
		return call_misuse(&c, "length is %d: 0 to %d, what is in the session, was wanted", length,
		                   session_length(s->session, 0));
	session_truncate(s->session, 0, length);
	return call_end(&c, 0);
}

/* Ends the call with KF_MISUSE (true) where these cannot be fed. */
static bool refuse_ids(struct call *c, const struct kf_session *s, const int32_t *ids, size_t n)
{
	int32_t V = s->model->model.config.V;
	size_t wrong;

	if (!ids || n == 0)
		call_misuse(c, "%s", ids ? "no tokens: at least one was wanted" : "ids is NULL");
	else if (!are_ids(ids, n, V, &wrong))
		call_misuse(c, "ids[%zu] is %d: the model has tokens 0 to %d", wrong, ids[wrong], V - 1);
	else
		return false;
	return true;
}

int kf_session_feed(struct kf_session *s, const int32_t *ids, size_t n, const float **logits, struct kf_error *error)
{
	struct call c;
	const float *last = NULL;

	if (logits)
		*logits = NULL;
	if (call_begin(&c, s, KIND_SESSION, error) < 0)
		return KF_MISUSE;
	if (refuse_ids(&c, s, ids, n))
		return KF_MISUSE;
	int status = session_feed(s->session, 0, ids, n, &last, &c.err);
	if (logits)
		*logits = last;
	return call_end(&c, status);
}

/* --- generating --- */

static bool is_share(double x) { return x >= 0 && x <= 1; }

static const char *wrong_sampling(const struct kf_sampling *s, int32_t V)
{
	if (!isfinite(s->temperature) || s->temperature < 0)
		return "sampling.temperature: a finite number from 0 was wanted";
	if (!is_share(s->top_p) || !is_share(s->min_p) || !is_share(s->typical_p))
		return "sampling.top_p, min_p, typical_p: 0 to 1 was wanted";
	if (!isfinite(s->repetition_penalty) || s->repetition_penalty < 0)
		return "sampling.repetition_penalty: a finite number from 0 was wanted";
	if (!isfinite(s->frequency_penalty) || !isfinite(s->presence_penalty))
		return "sampling.frequency_penalty, presence_penalty: finite numbers were wanted";
	if (s->top_k < 0 || s->repeat_last_n < 0)
		return "sampling.top_k, repeat_last_n: 0 or more was wanted";
	if (s->n_bias && !s->bias)
		return "sampling.bias is NULL";
	for (size_t i = 0; i < s->n_bias; i++)
		if (s->bias[i].id < 0 || s->bias[i].id >= V || isnan(s->bias[i].bias))
			return "sampling.bias: a token of the model and a number were wanted";
	return is_zero(s->reserved, sizeof(s->reserved)) ? NULL : "sampling.reserved must be zero";
}

static const char *wrong_options(const struct kf_generate_options *o, int32_t V)
{
	if (o->n_stop && !o->stop)
		return "stop is NULL";
	for (size_t i = 0; i < o->n_stop; i++)
		if (!o->stop[i] || !o->stop[i][0])
			return "a stop string is NULL or empty";
	return is_zero(o->reserved, sizeof(o->reserved)) ? wrong_sampling(&o->sampling, V) : "reserved must be zero";
}

static void set_sampler(struct kf_session *session, const struct kf_sampling *o)
{
	const struct { const char *option; double value; } numbers[] = {
		{ "temperature", o->temperature },
		{ "top-k", o->top_k },
		{ "top-p", o->top_p > 0 ? o->top_p : 1 },
		{ "min-p", o->min_p },
		{ "typical-p", o->typical_p },
		{ "repetition-penalty", o->repetition_penalty },
		{ "frequency-penalty", o->frequency_penalty },
		{ "presence-penalty", o->presence_penalty },
		{ "repeat-last-n", o->repeat_last_n > 0 ? o->repeat_last_n : -1 },
	};
	struct sampler *s = &session->sampler;
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
		sampler_choice_set(&session->choice, numbers[i].option, numbers[i].value);
	s->steps = session->choice.steps;
	s->bias = (const struct logit_bias *)o->bias; /* the same struct, asserted below */
	s->n_bias = o->n_bias;
	s->seed = o->seed;
	s->index = 0;
	sampler_forget(s);
}

_Static_assert(sizeof(struct logit_bias) == sizeof(struct kf_bias) &&
                       offsetof(struct logit_bias, bias) == offsetof(struct kf_bias, bias),
               "");

struct listener {
	struct call *call;
	const struct kf_generate_options *options;
};

static int pass_text(void *ctx, const char *text, size_t n)
{
	struct listener *l = ctx;
	call_outside(l->call);
	int status = l->options->on_text(l->options->ctx, text, n);
	call_inside(l->call);
	return status;
}

static struct kf_generation shown(const struct generation *g)
{
	return (struct kf_generation){
		.text = buf_str(&g->text),
		.length = g->text.len,
		.ids = g->ids.id,
		.logprobs = g->logprob,
		.n = g->ids.n,
		.finish = g->finish == FINISH_STOP   ? KF_FINISH_STOP :
		          g->finish == FINISH_LENGTH ? KF_FINISH_LENGTH :
		                                       KF_FINISH_CANCELLED,
		.context_full = g->context_full,
		.prompt_seconds = g->prompt_seconds,
		.seconds = g->seconds,
	};
}

int kf_session_generate(struct kf_session *s, const int32_t *ids, size_t n, const struct kf_generate_options *options,
                        struct kf_generation *out, struct kf_error *error)
{
	static const struct kf_generate_options defaults;
	struct call c;

	if (out)
		*out = (struct kf_generation){ 0 };
	if (call_begin(&c, s, KIND_SESSION, error) < 0)
		return KF_MISUSE;
	if (refuse_ids(&c, s, ids, n))
		return KF_MISUSE;
	options = options ? options : &defaults;
	const char *wrong = out ? wrong_options(options, s->model->model.config.V) : "generation is NULL";
	if (wrong)
		return call_misuse(&c, "%s", wrong);
	struct listener listener = { &c, options };
	struct generate_options g = {
		.end = s->ends,
		.stop = options->stop,
		.n_stop = options->n_stop,
		.logprobs = true,
		.sampler = &s->sampler,
		.max_new_tokens = options->max_new_tokens ? options->max_new_tokens : SIZE_MAX,
		.emit = options->on_text ? pass_text : NULL,
		.ctx = &listener,
	};
	set_sampler(s, &options->sampling);
	generation_release(&s->generation);
	int status = model_text(s->model, &c.err);
	if (status == 0)
		status = generate(s->session, s->model->model.tokenizer, ids, n, &g, &s->generation, &c.err);
	if (status == 0)
		*out = shown(&s->generation);
	return call_end(&c, status);
}
