/* fuzz_api: any sequence of calls of kungfu.h on the tiny model, with odd arguments: handles that are NULL, freed late,
 * of another kind, lengths and ids beyond their range. Whatever comes, a call returns a status, and a failure has its
 * sentence. A byte chooses the call, those after it its arguments. It begins in the repository's root and then works in
 * a folder of its own, so that what is saved under odd names goes there. */
#include <kungfu.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/io.h"
#include "base/mem.h"
#include "../held/held.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MODEL "golden/llama" /* a link is made to test/golden */
#define ROWS "golden/rows.jsonl"

enum { CALLS_MAX = 24, IDS_MAX = 24 };

struct input {
	const uint8_t *data;
	size_t size, at;
};

struct world {
	struct kf_model *model;
	struct kf_adapter *adapter;
	struct kf_session *session;
	struct kf_evaluator *evaluator;
	struct kf_data *rows;
	struct kf_trainer *trainer;
	struct kf_error error;
};

static uint8_t byte(struct input *in) { return in->at < in->size ? in->data[in->at++] : 0; }

/* Small, negative, huge. */
static int odd_int(struct input *in)
{
	static const int ends[] = { 0, -1, INT32_MIN, INT32_MAX, 128, 129, 1 << 20 };
	uint8_t b = byte(in);
	return b < 200 ? b % 32 : ends[b % ARRAY_LEN(ends)];
}

static double odd_double(struct input *in)
{
	static const double ends[] = { 0, 1, 0.5, -1, 2, 1e-9, 1e300, NAN, INFINITY, -INFINITY };
	return ends[byte(in) % ARRAY_LEN(ends)];
}

static const char *odd_text(struct input *in)
{
	static const char *const texts[] = { NULL,
		                             "",
		                             "-",
		                             "Is it?",
		                             "a\377",
		                             MODEL,
		                             ROWS,
		                             "/nonexistent",
		                             "user",
		                             "lora-r",
		                             "f32",
		                             "<|im_start|>",
		                             "8",
		                             "1e-3",
		                             "golden/llama-lora" };
	return texts[byte(in) % ARRAY_LEN(texts)];
}

static size_t odd_ids(struct input *in, int32_t ids[IDS_MAX])
{
	size_t n = byte(in) % (IDS_MAX + 1);
	for (size_t i = 0; i < n; i++) {
		uint8_t b = byte(in);
		ids[i] = b < 250 ? b : odd_int(in);
	}
	return n;
}

static void check(const struct world *w, int status)
{
	if (status < KF_STOPPED || status > KF_DONE || status != w->error.status ||
	    (status < 0) != (w->error.message[0] != 0))
		BUG("status %d, error %d: %s", status, w->error.status, w->error.message);
}

static void ids_back(const struct world *w, int status, int32_t **ids)
{
	check(w, status);
	if (status < 0 && *ids)
		BUG("ids of a call that failed");
	kf_free(*ids);
}

static int stop_sometimes(void *ctx, const char *text, size_t n)
{
	(void)text;
	return n > 3 && *(uint8_t *)ctx & 1;
}

static void use_text(struct world *w, struct input *in)
{
	int32_t *ids = NULL, some[IDS_MAX];
	size_t n = 0;
	char *text = NULL;
	const char *source = odd_text(in);
	uint8_t which = byte(in);
	struct kf_model *m = which & 64 ? NULL : w->model;

	if (which % 3 == 0) {
		ids_back(w,
		         kf_encode(m, source, which & 8 && source ? strlen(source) : KF_WHOLE,
		                   which & 32 ? odd_int(in) : 0, &ids, &n, &w->error),
		         &ids);
	} else if (which % 3 == 1) {
		n = odd_ids(in, some);
		check(w, kf_decode(m, some, n, which & 32 ? odd_int(in) : KF_SPECIAL, &text, NULL, &w->error));
		kf_free(text);
	} else if (which & 128) {
		ids_back(w, kf_ask(m, source, KF_WHOLE, &ids, &n, &w->error), &ids);
		check(w, kf_find(m, source, KF_WHOLE, &text, &w->error));
		kf_free(text);
	} else {
		struct kf_message messages[2] = { { odd_text(in), source }, { "user", odd_text(in) } };
		ids_back(w, kf_chat(m, messages, byte(in) % 3, &ids, &n, &w->error), &ids);
	}
}

static void use_session(struct world *w, struct input *in)
{
	int32_t ids[IDS_MAX];
	size_t n = odd_ids(in, ids);
	const float *logits;
	struct kf_generation g;
	const char *stop[] = { odd_text(in) };
	struct kf_bias bias = { odd_int(in), (float)odd_double(in) };
	uint8_t which = byte(in);
	struct kf_generate_options o = {
		.max_new_tokens = 1 + byte(in) % 6,
		.stop = stop,
		.n_stop = which >> 7,
		.on_text = which & 64 ? stop_sometimes : NULL,
		.ctx = &which,
		.sampling = { .temperature = odd_double(in),
		              .top_p = odd_double(in),
		              .min_p = odd_double(in),
		              .typical_p = odd_double(in),
		              .repetition_penalty = odd_double(in),
		              .frequency_penalty = odd_double(in),
		              .presence_penalty = odd_double(in),
		              .top_k = odd_int(in),
		              .repeat_last_n = odd_int(in),
		              .bias = &bias,
		              .n_bias = which >> 5 & 1 },
	};

	if (which % 4 == 0) {
		check(w, kf_session_feed(w->session, ids, n, &logits, &w->error));
		if ((w->error.status < 0) != !logits)
			BUG("logits %s", logits ? "of a call that failed" : "are missing");
	} else if (which % 4 == 1) {
		check(w, kf_session_truncate(w->session, odd_int(in), &w->error));
	} else {
		check(w, kf_session_generate(w->session, ids, n,
		                             which % 4 == 2 ? &o : &(struct kf_generate_options){ .max_new_tokens = 4 },
		                             &g, &w->error));
		if (w->error.status == KF_OK && (strlen(g.text) > g.length || g.n == 0))
			BUG("an answer of %zu tokens, %zu bytes", g.n, g.length);
	}
	if (w->session && kf_session_length(w->session) > kf_session_context(w->session))
		BUG("more tokens than the context holds");
}

static void use_evaluator(struct world *w, struct input *in)
{
	int32_t ids[3][IDS_MAX];
	uint8_t learn[3][IDS_MAX];
	struct kf_document d[3] = { { 0 } };
	double sum[3];
	size_t n = byte(in) % 4;

	for (size_t i = 0; i < n; i++) {
		d[i].n = odd_ids(in, ids[i]);
		d[i].ids = byte(in) & 15 ? ids[i] : NULL;
		for (size_t j = 0; j < IDS_MAX; j++)
			learn[i][j] = j ? byte(in) & 1 : byte(in) == 7;
		d[i].learn = byte(in) & 1 ? learn[i] : NULL;
		if (byte(in) & 1)
			kf_data_document(w->rows, (size_t)odd_int(in), &d[i], NULL);
	}
	check(w, kf_evaluator_score(w->evaluator, d, n, sum, NULL, &w->error));
	for (size_t i = 0; i < n && w->error.status == KF_OK; i++)
		if (!isfinite(sum[i]) || sum[i] > 0)
			BUG("log-probability %g", sum[i]);
}

static void make(struct world *w, struct input *in)
{
	struct kf_settings settings = { .threads = odd_int(in) % 3 };
	struct kf_evaluator_options eo = { .max_length = odd_int(in),
		                           .stride = odd_int(in),
		                           .micro_batch_tokens = odd_int(in) };
	struct kf_data_options po = { .max_length = odd_int(in), .packing = byte(in) & 1 };
	bool plain = byte(in) & 3;

	switch (byte(in) % 5) {
	case 0:
		kf_adapter_free(w->adapter);
		check(w, kf_adapter_open(&w->adapter, w->model, plain ? "golden/llama-lora" : odd_text(in),
		                         &w->error));
		break;
	case 1:
		kf_session_free(w->session);
		check(w, kf_session_new(&w->session, w->model, byte(in) & 1 ? w->adapter : NULL, odd_int(in), &settings,
		                        &w->error));
		break;
	case 2:
		kf_evaluator_free(w->evaluator);
		check(w,
		      kf_evaluator_new(&w->evaluator, w->model, w->adapter, plain ? NULL : &eo, &settings, &w->error));
		break;
	case 3:
		kf_data_free(w->rows);
		check(w, kf_data_open(&w->rows, w->model, plain ? ROWS : odd_text(in), plain ? NULL : &po, &w->error));
		break;
	default: {
		struct kf_option options[] = { { "model", plain ? MODEL : odd_text(in) },
			                       { "data", ROWS },
			                       { "max-steps", "2" },
			                       { "batch-size", "2" },
			                       { plain ? NULL : odd_text(in), odd_text(in) },
			                       { NULL, NULL } };
		kf_trainer_free(w->trainer);
		check(w, kf_trainer_open(&w->trainer, options, &settings, &w->error));
	}
	}
}

static void use_trainer(struct world *w, struct input *in)
{
	struct kf_step step;
	struct kf_scores scores;
	struct kf_plan plan;
	size_t some[2], n;
	char *note = NULL;

	switch (byte(in) % 10) {
	case 0: check(w, kf_trainer_plan(w->trainer, &plan, &w->error)); break;
	case 1:
	case 2: check(w, kf_trainer_start(w->trainer, &w->error)); break;
	case 3: check(w, kf_trainer_step(w->trainer, &step, &w->error)); break;
	case 4: check(w, kf_trainer_set_learning_rate(w->trainer, odd_double(in), &w->error)); break;
	case 5: check(w, kf_trainer_set_weight(w->trainer, (size_t)odd_int(in), odd_double(in), &w->error)); break;
	case 6: check(w, kf_trainer_next(w->trainer, some, byte(in) % 3, &n, &w->error)); break;
	case 7: check(w, kf_trainer_evaluate(w->trainer, &scores, &w->error)); break;
	case 8: check(w, kf_trainer_load(w->trainer, odd_text(in), &note, &w->error)); break;
	default: check(w, kf_trainer_save(w->trainer, byte(in) & 1 ? "-" : NULL, odd_text(in), &w->error)); break;
	}
	kf_free(note);
}

static char place[] = "/tmp/kungfu-fuzz-XXXXXX";

static void leave(void) { io_remove_tree(place, NULL); }

static void go_to_place(void)
{
	char *golden = realpath("test/golden", NULL);

	if (!golden || !mkdtemp(place) || chdir(place) || symlink(golden, "golden"))
		BUG("the folder %s: is this the repository's root?", place);
	free(golden);
	atexit(leave);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct kf_model *model;
	struct input in = { data, size, 0 };
	struct world w = { 0 };

	if (!model) {
		held_begin(); /* a trainer that is opened measures the machine: most of a run's time */
		go_to_place();
	}
	if (!model && kf_model_open(&model, MODEL, &w.error) < 0)
		BUG("%s", w.error.message);
	w.model = model;
	for (int i = 0; i < CALLS_MAX && in.at < in.size; i++)
		switch (byte(&in) % 6) {
		case 0: make(&w, &in); break;
		case 1: use_text(&w, &in); break;
		case 2: use_session(&w, &in); break;
		case 3: use_evaluator(&w, &in); break;
		default: use_trainer(&w, &in); break;
		}
	kf_trainer_free(w.trainer);
	kf_data_free(w.rows);
	kf_adapter_free(w.adapter);
	kf_evaluator_free(w.evaluator);
	kf_session_free(w.session);
	return 0;
}
