/* Sends prepared requests over keep-alive connections, and says as JSON how long the answers took.
 *
 *   load PORT FILE FIRST COUNT CONNECTIONS RATE STATUS
 *
 * FILE holds requests as they go over the wire, each behind its length in four bytes of this machine's order. COUNT of
 * them are sent, beginning with number FIRST; when they are all sent, from the first again. RATE 0 is the closed loop:
 * a connection that has its answer sends the next request. Any other RATE is the open loop: request i is due at start + i / RATE, whether others were
 * answered or not, and its time runs from then, also while it waits for a connection. Every answer must have STATUS.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { ROOM = 65536, PATIENCE_MS = 60000, NOBODY = -1 };

typedef struct {
    int socket;
    long request; /* whose answer it waits for, or NOBODY */
    size_t filled;
    char answer[ROOM];
} Connection;

static int port, expected;
static long first, count, connections;
static double rate;

static char **requests; /* where each begins, behind its length */
static uint64_t *begun, *took, start;
static long sent, answered, wrong, broken, most_waiting;
static char first_wrong[300];

static Connection *all;
static long *idle, idle_from, idle_number; /* a ring: whoever rested longest is next, so that none falls asleep */
static int events, alarm_clock;

static void give_up(const char *why) {
    fprintf(stderr, "load: %s\n", why);
    exit(1);
}

static uint64_t now(void) {
    struct timespec moment;
    clock_gettime(CLOCK_MONOTONIC, &moment);
    return (uint64_t)moment.tv_sec * 1000000000u + (uint64_t)moment.tv_nsec;
}

static uint32_t length_of(const char *request) {
    uint32_t length;
    memcpy(&length, request - 4, 4);
    return length;
}

static void read_requests(const char *path) {
    struct stat about;
    int file = open(path, O_RDONLY);
    if (file < 0 || fstat(file, &about) < 0) give_up("the file of requests cannot be read");
    if (about.st_size == 0) give_up("there are no requests in the file");
    char *text = mmap(NULL, (size_t)about.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, file, 0);
    if (text == MAP_FAILED) give_up("the file of requests cannot be read");
    requests = calloc((size_t)count, sizeof *requests);
    char *here = text, *end = text + about.st_size;
    for (long number = 0; number < first + count; number++) {
        if (here + 4 > end) here = text;
        if (number >= first) requests[number - first] = here + 4;
        here += 4 + length_of(here + 4);
    }
}

/* --- connections --- */

static void open_connection(Connection *one) {
    struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int yes = 1;
    one->socket = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(one->socket, (struct sockaddr *)&server, sizeof server) < 0) give_up("nobody listens");
    setsockopt(one->socket, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    struct epoll_event watch = {.events = EPOLLIN, .data.ptr = one};
    epoll_ctl(events, EPOLL_CTL_ADD, one->socket, &watch);
    one->request = NOBODY;
    one->filled = 0;
}

static void rest(Connection *one) {
    one->request = NOBODY;
    one->filled = 0;
    idle[(idle_from + idle_number++) % connections] = one - all;
}

static Connection *rested(void) {
    Connection *one = &all[idle[idle_from]];
    idle_from = (idle_from + 1) % connections;
    idle_number--;
    return one;
}

static uint64_t due(long number) {
    return rate > 0 ? start + (uint64_t)((double)number * 1e9 / rate) : 0;
}

static void send_next(void) {
    Connection *one = rested();
    long number = sent++;
    const char *text = requests[number];
    size_t left = length_of(text);
    one->request = number;
    begun[number] = rate > 0 ? due(number) : now();
    while (left > 0) {
        ssize_t gone = send(one->socket, text, left, MSG_NOSIGNAL);
        if (gone <= 0) return; /* it hung up: what is read next says so */
        text += gone;
        left -= (size_t)gone;
    }
}

static void note(Connection *one, int status) {
    took[one->request] = now() - begun[one->request];
    answered++;
    if (status == expected) return;
    if (wrong++ == 0) snprintf(first_wrong, sizeof first_wrong, "%.280s", one->filled ? one->answer : "it hung up");
}

static void reopen(Connection *one) {
    int waited = one->request != NOBODY;
    if (waited) note(one, 0);
    broken++;
    close(one->socket);
    open_connection(one);
    if (waited) rest(one);
}

/* 0: the answer is not whole yet. */
static int status_of(const Connection *one) {
    const char *end = strstr(one->answer, "\r\n\r\n");
    if (end == NULL) return 0;
    int status = 0;
    if (sscanf(one->answer, "HTTP/1.1 %d", &status) != 1) return -1;
    if (status == 204) return status;
    for (const char *line = one->answer; line < end; line = strstr(line, "\r\n") + 2) {
        if (strncasecmp(line, "content-length:", 15) == 0)
            return one->filled >= (size_t)(end + 4 - one->answer) + strtoul(line + 15, NULL, 10) ? status : 0;
    }
    return -1;
}

static void hear(Connection *one) {
    ssize_t came = recv(one->socket, one->answer + one->filled, ROOM - 1 - one->filled, MSG_DONTWAIT);
    if (came < 0 && errno == EAGAIN) return;
    if (came <= 0) {
        reopen(one);
        return;
    }
    one->filled += (size_t)came;
    one->answer[one->filled] = 0;
    int status = status_of(one);
    if (one->request == NOBODY || one->filled >= ROOM - 1) give_up("the server said more than it was asked");
    if (status == 0) return;
    note(one, status);
    rest(one);
}

/* --- the loop --- */

static void send_what_is_due(void) {
    uint64_t moment = now();
    while (sent < count && idle_number > 0 && due(sent) <= moment) send_next();
    if (rate <= 0 || sent >= count) return;
    long late = (long)((double)(moment - start) * rate / 1e9) + 1 - sent;
    if (late > most_waiting && idle_number == 0) most_waiting = late;
    if (idle_number == 0) return;
    struct itimerspec next = {.it_value = {(time_t)(due(sent) / 1000000000u), (long)(due(sent) % 1000000000u)}};
    timerfd_settime(alarm_clock, TFD_TIMER_ABSTIME, &next, NULL);
}

static void run(void) {
    struct epoll_event ready[256];
    uint64_t rings;
    start = now();
    while (answered < count) {
        send_what_is_due();
        int number = epoll_wait(events, ready, 256, PATIENCE_MS);
        if (number == 0) give_up("no answer for a minute");
        for (int each = 0; each < number; each++) {
            if (ready[each].data.ptr == NULL) {
                if (read(alarm_clock, &rings, sizeof rings) < 0) continue;
            } else {
                hear(ready[each].data.ptr);
            }
        }
    }
}

static int by_length(const void *one, const void *other) {
    uint64_t a = *(const uint64_t *)one, b = *(const uint64_t *)other;
    return (a > b) - (a < b);
}

static double ranked(double share) {
    long place = (long)((double)count * share);
    return (double)took[place < count ? place : count - 1] / 1e6;
}

int main(int words, char **word) {
    if (words != 8) give_up("load PORT FILE FIRST COUNT CONNECTIONS RATE STATUS");
    port = atoi(word[1]);
    first = atol(word[3]);
    count = atol(word[4]);
    connections = atol(word[5]);
    rate = atof(word[6]);
    expected = atoi(word[7]);
    if (count < 1 || connections < 1) give_up("nothing to send");
    read_requests(word[2]);
    begun = calloc((size_t)count, sizeof *begun);
    took = calloc((size_t)count, sizeof *took);
    all = calloc((size_t)connections, sizeof *all);
    idle = calloc((size_t)connections, sizeof *idle);
    events = epoll_create1(0);
    alarm_clock = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    struct epoll_event watch = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(events, EPOLL_CTL_ADD, alarm_clock, &watch);
    for (long each = 0; each < connections; each++) {
        open_connection(&all[each]);
        rest(&all[each]);
    }
    run();
    double seconds = (double)(now() - start) / 1e9;
    qsort(took, (size_t)count, sizeof *took, by_length);
    printf("{\"requests\": %ld, \"seconds\": %.6f, \"per_second\": %.1f, \"p50\": %.4f, \"p99\": %.4f, \"p999\": %.4f, "
           "\"longest\": %.4f, \"wrong\": %ld, \"broken\": %ld, \"most_waiting\": %ld}\n",
           count, seconds, (double)count / seconds, ranked(0.5), ranked(0.99), ranked(0.999), ranked(1.0), wrong, broken,
           most_waiting);
    if (wrong > 0) fprintf(stderr, "%s\n", first_wrong);
    return 0;
}
