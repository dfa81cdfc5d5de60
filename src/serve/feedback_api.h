/* feedback_api: what the page of feedback asks for, over one open file. The calls are those of doc/feedback.md. */
#ifndef SERVE_FEEDBACK_API_H
#define SERVE_FEEDBACK_API_H

#include "feedback/store.h"
#include "serve/http.h"
#include "serve/informed.h"

struct feedback_api;
/* f is borrowed, and nobody else's from now on: http_options.admit and .answer are those below, ctx is what
 * is made here.
 * informed: which items tell most, or NULL. */
struct feedback_api *feedback_api_new(struct feedback *f, struct informed *informed);
void feedback_api_free(struct feedback_api *a);
bool feedback_api_admit(void *api, const struct http_request *q, struct http_reply *r);
void feedback_api_answer(void *api, const struct http_request *q, struct http_reply *r);

#endif
