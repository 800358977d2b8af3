#!/bin/sh
exec /usr/bin/gateway -c /etc/gateway.conf
