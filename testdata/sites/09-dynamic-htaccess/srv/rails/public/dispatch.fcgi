#!/usr/bin/ruby
require '../config/environment'
RailsFCGIHandler.process!
