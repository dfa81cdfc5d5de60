/* served: OpenAI's calls over the tiny model, without a connection. */
#ifndef FUZZ_SERVED_H
#define FUZZ_SERVED_H

#include "base/mem.h"
#include "data/chat.h"
#include "serve/openai_parts.h"

enum { CONTEXT = 64, PARALLEL = 4 };

extern const char page_serve[];
const char page_serve[] = "<script></script><style></style>";

static struct openai *served(void)
{
	static struct model model;
	static struct device device;
	struct err e = ERR_INIT;
	struct session_size size = { .n_ctx = CONTEXT, .n_sequences = 2 * PARALLEL, .n_logits = PARALLEL };
	struct session *session;
	struct template *chat;
	struct keys *keys;
	struct pool *pool = pool_new(1);

	device = device_cpu(kernels_get("ref", &e), pool);
	if (model_open(&model, "test/golden/llama", &e) < 0 || model_tokenizer(&model, &e) < 0 ||
	    chat_template(&chat, model.tokenizer, &e) < 0 || keys_new(&keys, &(struct keys_options){ 0 }, &e) < 0 ||
	    session_new(&session, &model, NULL, &device, &size, &e) < 0)
		BUG("%s", e.msg);
	struct engine *engine = engine_new(session, model.tokenizer, pool);
	batcher_limit(engine_batcher(engine),
	              &(struct batcher_limits){ .parallel = PARALLEL,
	                                        .ranges = PARALLEL * session_ranges_full(session),
	                                        .fair = true });
	struct openai *s = openai_new(&(struct openai_options){ .engine = engine,
	                                                        .model = &model,
	                                                        .device = &device,
	                                                        .chat = chat,
	                                                        .name = "fuzz",
	                                                        .path = "fuzz",
	                                                        .keys = keys,
	                                                        .context = CONTEXT,
	                                                        .parallel = PARALLEL,
	                                                        .queue = 140 });
	s->caller = keys_holder(keys, NULL);
	return s;
}

#endif
