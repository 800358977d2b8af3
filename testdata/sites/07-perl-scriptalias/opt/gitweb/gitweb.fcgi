#!/bin/sh
exec /usr/share/gitweb/gitweb.cgi --fcgi
