<?php echo 'moved';
