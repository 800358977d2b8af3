#!/bin/sh
exec /opt/gis/bin/server
