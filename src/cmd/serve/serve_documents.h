/* serve_documents: an index that is asked before each question of a conversation, as `generate --documents` does
 * (cmd/index/sources_options.h), for the server's calls. */
#ifndef CMD_SERVE_DOCUMENTS_H
#define CMD_SERVE_DOCUMENTS_H

#include "cmd/index/sources_options.h"
#include "serve/openai.h"

struct serve_documents {
	struct sources sources;
	struct openai_documents how;   /* borrows the above */
	bool open;
};

/* o is borrowed; the tokenizer is the model's. Closed by the caller, after an error too. */
int serve_documents_open(struct serve_documents *d, const struct sources_options *o, struct app *app,
                         const struct tokenizer *tokenizer, struct err *e);
/* Of the embedder's weights. */
size_t serve_documents_bytes(const struct serve_documents *d);
void serve_documents_close(struct serve_documents *d);

#endif
