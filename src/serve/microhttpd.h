/* microhttpd: GNU libmicrohttpd's functions, found in the library when they are wanted, so that the program runs where
 * it is not installed. Only http.c uses them. */
#ifndef SERVE_MICROHTTPD_H
#define SERVE_MICROHTTPD_H

#include <microhttpd.h>

#include "base/err.h"

struct microhttpd {
	__typeof__(MHD_start_daemon) *start;
	__typeof__(MHD_stop_daemon) *stop;
	__typeof__(MHD_create_response_from_buffer) *response;
	__typeof__(MHD_create_response_from_callback) *growing;
	__typeof__(MHD_suspend_connection) *suspend;
	__typeof__(MHD_resume_connection) *resume;
	__typeof__(MHD_add_response_header) *add_header;
	__typeof__(MHD_queue_response) *queue;
	__typeof__(MHD_destroy_response) *drop;
	__typeof__(MHD_get_connection_values) *values;
	__typeof__(MHD_get_connection_info) *info;
	__typeof__(MHD_get_version) *version;
};

/* −1: what is not there and which package has it. */
int microhttpd_open(struct microhttpd *m, struct err *e);

#endif
