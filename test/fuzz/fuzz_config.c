/* fuzz: any JSON as a config.json is a model or is refused with a sentence, of whatever architecture it names. A small
 * one is made, and as a decoder fed some tokens at once and one by one, within what it says of itself. */
#include <stdint.h>

#include "base/mem.h"
#include "infer/session.h"
#include "model/init.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { SMALL = 30000 /* parameters */, LAYERS = 3, TOKENS = 5 };

static void feed(struct model *m)
{
	static struct device device;
	struct err e = ERR_INIT;
	struct session *s;
	const float *logits;
	const int32_t ids[TOKENS] = { 0, m->config.V - 1, 0, m->config.V / 2, 0 };

	if (!device.pool)
		device = device_cpu(kernels_get("ref", &e), pool_new(1));
	if (session_new(&s, m, NULL, &device, &(struct session_size){ .n_ctx = TOKENS + 1 }, &e) < 0) {
		if (!*e.msg)
			BUG("no session, without a word");
		return;
	}
	int most = MIN((int)TOKENS, session_limit(s)), some = MIN(2, most);
	volatile float last = 0;
	if (session_feed(s, 0, ids, (size_t)some, &logits, &e) < 0 && !*e.msg)
		BUG("tokens are refused without a word");
	for (int i = some; i < most && session_length(s, 0) == i; i++)
		if (session_feed(s, 0, ids + i, 1, &logits, &e) < 0 && !*e.msg)
			BUG("a token is refused without a word");
		else if (!*e.msg)
			last = logits[m->config.V - 1];
	(void)last;
	session_free(s);
}

static bool is_small(const struct model *m)
{
	double sum = 0;

	for (size_t i = 0; i < m->n_weights; i++) {
		double one = 1;
		for (int k = 0; k < m->weights[i].n_dims; k++)
			one *= (double)m->weights[i].dim[k];
		sum += one;
	}
	return sum < SMALL && m->config.n_layers <= LAYERS && m->n_weights < 1000;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct pool *pool;
	struct err e = ERR_INIT;
	struct model m;
	const struct init_options how = { .seed = 1, .parts = WEIGHT_OF_HEAD };
	json_t *config = n <= 4096 ? json_loadb((const char *)data, n, 0, NULL) : NULL;
	bool small = false;

	pool = pool ? pool : pool_new(1);
	if (json_is_object(config) && model_new_facts(&m, config, &how, &e) == 0) {
		small = is_small(&m);
		model_close(&m);
	} else if (json_is_object(config) && !*e.msg) {
		BUG("a config is refused without a word");
	}
	if (small && model_new(&m, config, NULL, &how, pool, &e) == 0) {
		if (model_want_causal(&m, &e) == 0)
			feed(&m);
		model_close(&m);
	}
	json_decref(config);
	return 0;
}
